// Writes sessions with the real trpc-agent-go library into a Redis, and prints what it then holds as
// Redis commands. See README.md beside this file.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	goredis "github.com/redis/go-redis/v9"

	"trpc.group/trpc-go/trpc-agent-go/event"
	"trpc.group/trpc-go/trpc-agent-go/model"
	"trpc.group/trpc-go/trpc-agent-go/session"
	"trpc.group/trpc-go/trpc-agent-go/session/redis"
)

// summarizer sums up without a model.
type summarizer struct{}

func (summarizer) ShouldSummarize(*session.Session) bool { return true }
func (summarizer) Summarize(_ context.Context, s *session.Session) (string, error) {
	return fmt.Sprintf("They talked, in %d events. \"Quotes\" & <tags>.", len(s.Events)), nil
}
func (summarizer) SetPrompt(string)         {}
func (summarizer) SetModel(model.Model)     {}
func (summarizer) Metadata() map[string]any { return nil }

var ctx = context.Background()

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// talk makes events with ids and times that do not change from run to run.
type talk struct {
	name string
	at   time.Time
	n    int
}

func (t *talk) event(author string, message model.Message, opts ...event.Option) *event.Event {
	t.n++
	t.at = t.at.Add(1234567891 * time.Nanosecond)
	response := &model.Response{
		ID: fmt.Sprintf("resp-%d", t.n), Object: model.ObjectTypeChatCompletion, Model: "m-1",
		Created: t.at.Unix(), Timestamp: t.at, Done: true,
		Choices: []model.Choice{{Message: message}},
	}
	e := event.NewResponseEvent("inv-"+t.name, author, response, opts...)
	e.ID, e.Timestamp, e.RequestID = fmt.Sprintf("%s-e%02d", t.name, t.n), t.at, "req-1"
	return e
}

func service(url, prefix string, mode redis.CompatMode, ttl time.Duration) *redis.Service {
	s, err := redis.NewService(redis.WithRedisClientURL(url), redis.WithKeyPrefix(prefix),
		redis.WithCompatMode(mode), redis.WithSummarizer(summarizer{}), redis.WithSessionTTL(ttl))
	check(err)
	return s
}

// converse writes one rich session: everything that the library can keep of one.
func converse(s *redis.Service, app, user, id string) {
	key := session.Key{AppName: app, UserID: user, SessionID: id}
	sess, err := s.CreateSession(ctx, key, session.StateMap{
		"lang": []byte(`"en"`), "plain": []byte("no JSON"), "raw": {0xff, 0x00}, "none": nil, "empty": {},
	})
	check(err)
	t := &talk{name: "e", at: time.Date(2026, 5, 4, 9, 0, 0, 123456789, time.FixedZone("", 8*3600))}
	add := func(e *event.Event) { check(s.AppendEvent(ctx, sess, e)) }
	add(t.event("user", model.NewUserMessage("What is the weather in 深圳? <b>&amp;</b>\n\u2028")))
	index := 0
	call := t.event("weather", model.Message{Role: model.RoleAssistant, ReasoningContent: "I must ask the tool.",
		ToolCalls: []model.ToolCall{{Type: "function", ID: "call_1", Index: &index,
			Function: model.FunctionDefinitionParam{Name: "weather", Arguments: []byte(`{"city":"SZ","n":1e400}`)}}}},
		event.WithTag("a;b"), event.WithStateDelta(map[string][]byte{
			"asked/often": []byte("1"), "gone": nil, "temp:scratch": []byte("9"), "lang": []byte(`"zh"`)}))
	call.LongRunningToolIDs = map[string]struct{}{"call_1": {}}
	call.Extensions = map[string]json.RawMessage{"x/y": json.RawMessage(`{"big":12345678901234567890,"a":[1.50]}`)}
	add(call)
	add(t.event("weather", model.Message{Role: model.RoleTool, ToolID: "call_1", ToolName: "weather", Content: `{"sky":"blue"}`}))
	partial := t.event("weather", model.NewAssistantMessage("It is"), event.WithStateDelta(map[string][]byte{"typing": []byte("true")}))
	partial.IsPartial = true
	add(partial)
	text := "Blue 🌤"
	add(t.event("weather", model.Message{Role: model.RoleAssistant, Content: "It is blue.",
		ContentParts: []model.ContentPart{{Type: model.ContentTypeText, Text: &text},
			{Type: model.ContentTypeImage, Image: &model.Image{URL: "https://example.com/i.png", Data: []byte{1, 2, 3}, Detail: "low"}}}}))
	branch := t.event("weather", model.NewUserMessage("And tomorrow?"), event.WithBranch("root/child"))
	branch.FilterKey = "weather/day"
	add(branch)
	// The cut-off of the summaries falls between the events.
	check(s.CreateSessionSummary(ctx, reload(s, key), "", true))
	check(s.CreateSessionSummary(ctx, reload(s, key), "weather/day", true))
	add(t.event("weather", model.NewAssistantMessage("Rain.")))
	check(s.UpdateSessionState(ctx, key, session.StateMap{"patched": []byte(`{"deep":[1,2,{"a":"/"}]}`)}))

	sess = reload(s, key)
	for i := 1; i <= 12; i++ {
		check(s.AppendTrackEvent(ctx, sess, &session.TrackEvent{Track: "ui",
			Payload: json.RawMessage(fmt.Sprintf(`{"step":%d, "html":"<p>"}`, i)), Timestamp: t.at.Add(time.Duration(i/6) * time.Second)}))
	}
	check(s.AppendTrackEvent(ctx, sess, &session.TrackEvent{Track: "log:1", Timestamp: t.at}))
}

func reload(s *redis.Service, key session.Key) *session.Session {
	sess, err := s.GetSession(ctx, key)
	check(err)
	return sess
}

// small writes a short session.
func small(s *redis.Service, app, user, id string) {
	sess, err := s.CreateSession(ctx, session.Key{AppName: app, UserID: user, SessionID: id}, nil)
	check(err)
	t := &talk{name: "o", at: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)}
	check(s.AppendEvent(ctx, sess, t.event("user", model.NewUserMessage("hi"))))
	check(s.AppendEvent(ctx, sess, t.event("bot", model.NewAssistantMessage("hello"))))
}

func main() {
	url, prefix := os.Args[1], os.Args[2]
	new, old := service(url, prefix, redis.CompatModeLegacy, 0), service(url, prefix, redis.CompatModeTransition, 0)
	converse(new, "shop", "ann", "new")
	converse(old, "shop", "ann", "old")
	_, err := new.CreateSession(ctx, session.Key{AppName: "shop", UserID: "ann", SessionID: "nothing said"}, session.StateMap{"k": []byte("1")})
	check(err)
	small(service(url, prefix, redis.CompatModeLegacy, 36*time.Hour), "shop", "bob", "for a while")
	small(service(url, prefix, redis.CompatModeTransition, 48*time.Hour), "shop", "eve", "for a while, too")
	small(new, "a:b{c}", "u:{x}:*?[%]\\", "s:1 {y}:*\n😀")
	small(old, "z:b", "u:x:*?[%]\\", "s:2")
	check(new.UpdateAppState(ctx, "shop", session.StateMap{"motd": []byte(`"hello"`), "raw": {0xfe}, "void": nil}))
	check(new.UpdateUserState(ctx, session.UserKey{AppName: "shop", UserID: "ann"}, session.StateMap{"tier": []byte(`"gold"`), "seen": []byte("12")}))
	check(old.UpdateUserState(ctx, session.UserKey{AppName: "shop", UserID: "old-timer"}, session.StateMap{"tier": []byte(`"tin"`)}))
	dump(url)
}

// dump prints all keys as commands.
func dump(url string) {
	options, err := goredis.ParseURL(url)
	check(err)
	c := goredis.NewClient(options)
	keys, err := c.Keys(ctx, "*").Result()
	check(err)
	sort.Strings(keys)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	line := func(words ...string) {
		for i, word := range words {
			words[i] = quote(word)
		}
		fmt.Fprintln(out, strings.Join(words, " "))
	}
	for _, key := range keys {
		switch kind := c.Type(ctx, key).Val(); kind {
		case "string":
			line("SET", key, c.Get(ctx, key).Val())
		case "hash":
			all := c.HGetAll(ctx, key).Val()
			fields := make([]string, 0, len(all))
			for field := range all {
				fields = append(fields, field)
			}
			sort.Strings(fields)
			for _, field := range fields {
				line("HSET", key, field, all[field])
			}
		case "zset":
			for _, z := range c.ZRangeWithScores(ctx, key, 0, -1).Val() {
				line("ZADD", key, strconv.FormatFloat(z.Score, 'f', 0, 64), z.Member.(string))
			}
		case "set":
			members := c.SMembers(ctx, key).Val()
			sort.Strings(members)
			for _, member := range members {
				line("SADD", key, member)
			}
		default:
			log.Fatalf("%s: %s", key, kind)
		}
		if left := c.PTTL(ctx, key).Val(); left > 0 {
			line("PEXPIRE", key, strconv.FormatInt(left.Round(time.Hour).Milliseconds(), 10))
		}
	}
}

// quote writes a word as redis-cli reads it.
func quote(word string) string {
	plain := word != "" && !strings.ContainsFunc(word, func(r rune) bool {
		return r <= ' ' || r == '"' || r == '\'' || r == '\\' || r > '~'
	})
	if plain {
		return word
	}
	valid := utf8.ValidString(word)
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(word); i++ {
		switch c := word[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c < ' ' || c == 0x7f || (c >= 0x80 && !valid):
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
