module sessiond.test/trpc-writer

go 1.21

require (
	github.com/redis/go-redis/v9 v9.11.0
	trpc.group/trpc-go/trpc-agent-go v1.9.1
	trpc.group/trpc-go/trpc-agent-go/session/redis v1.9.0
)
