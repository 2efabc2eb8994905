// Package export_sessiond_plugin_before_append is where the bindings look for the hook.
//
// It drops a message of a user that says the same as the one before it, sent within ten seconds: a
// button that was pressed twice, a client that tried again under another id.
package export_sessiond_plugin_before_append

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	log "wit_component/sessiond_plugin_log"
	. "wit_component/sessiond_plugin_types"
	keyvalue "wit_component/wasi_keyvalue_store"

	wit "go.bytecodealliance.org/pkg/wit/types"
)

// window is how soon a message must follow to count as sent twice.
const window = 10 * time.Second

// BeforeAppend returns the events that go on to the store.
func BeforeAppend(key SessionKey, events []*Event) wit.Result[[]*Event, Rejection] {
	defer logPanic()
	last := lastMessage{place: digest(key.App, key.User, key.Session)}
	kept := make([]*Event, 0, len(events))
	for _, event := range events {
		if event.IsUserTurn() && last.isRepeated(event) {
			log.Log(log.Level_Info, "dropped a message that came twice")
			// What is not returned is dropped by hand: the collector is too late for it.
			event.Drop()
			continue
		}
		kept = append(kept, event)
	}
	last.remember()
	return wit.Ok[[]*Event, Rejection](kept)
}

// lastMessage is what a user said last in a session. It is kept by the daemon, since the next call
// may come to another instance.
type lastMessage struct {
	place  string
	bucket *keyvalue.Bucket
	loaded bool
	digest string
	id     string
	time   time.Time
}

// isRepeated tells whether a message repeats the last one, and takes its place if not.
func (last *lastMessage) isRepeated(event *Event) bool {
	last.load()
	var text strings.Builder
	for _, part := range event.Texts() {
		text.WriteString(part.Text)
	}
	said := digest(text.String())
	at, err := time.Parse(time.RFC3339Nano, event.Time())
	if err != nil {
		return false
	}
	id := event.Id()
	// The same id again is a retry, which the daemon answers by itself.
	if said == last.digest && id != last.id && at.Sub(last.time).Abs() < window {
		return true
	}
	last.digest, last.id, last.time = said, id, at
	return false
}

// load reads what was kept. Without it nothing is a repetition: a message too many does less harm
// than a message lost.
func (last *lastMessage) load() {
	if last.loaded {
		return
	}
	last.loaded = true
	bucket := keyvalue.Open("")
	if bucket.IsErr() {
		return
	}
	last.bucket = bucket.Ok()
	value := last.bucket.Get(last.place)
	if value.IsErr() || value.Ok().IsNone() {
		return
	}
	fields := bytes.SplitN(value.Ok().Some(), []byte("\n"), 3)
	if len(fields) != 3 {
		return
	}
	if at, err := time.Parse(time.RFC3339Nano, string(fields[1])); err == nil {
		last.digest, last.time, last.id = string(fields[0]), at, string(fields[2])
	}
}

// remember keeps the message for the next call.
func (last *lastMessage) remember() {
	if last.bucket == nil {
		return
	}
	defer last.bucket.Drop()
	value := fmt.Sprintf("%s\n%s\n%s", last.digest, last.time.Format(time.RFC3339Nano), last.id)
	if kept := last.bucket.Set(last.place, []byte(value)); kept.IsErr() {
		log.Log(log.Level_Warn, "the last message could not be kept")
	}
}

func digest(parts ...string) string {
	sum := sha256.Sum256([]byte(fmt.Sprintf("%q", parts)))
	return hex.EncodeToString(sum[:])
}

// logPanic tells the daemon's log why the plugin stops. Without it a panic tells nothing.
func logPanic() {
	if cause := recover(); cause != nil {
		log.Log(log.Level_Error, fmt.Sprint(cause))
		panic(cause)
	}
}
