// Package export_sessiond_plugin_before_append is where the bindings look for the hook.
//
// It looks at events before they are stored. What a hook can do is in wit/, which is the manual.
package export_sessiond_plugin_before_append

import (
	"fmt"
	"strings"

	log "wit_component/sessiond_plugin_log"
	. "wit_component/sessiond_plugin_types"

	wit "go.bytecodealliance.org/pkg/wit/types"
)

// BeforeAppend returns the events that go on to the store. An event left out must be dropped.
func BeforeAppend(key SessionKey, events []*Event) wit.Result[[]*Event, Rejection] {
	defer logPanic()
	for _, event := range events {
		if refusal := screen(event); refusal != "" {
			// The collector does not drop handles in time: what is not returned is dropped here.
			for _, event := range events {
				event.Drop()
			}
			return wit.Err[[]*Event](MakeRejectionDenied(refusal))
		}
	}
	log.Log(log.Level_Info, fmt.Sprintf("saw %d events", len(events)))
	return wit.Ok[[]*Event, Rejection](events)
}

// screen answers why an event is refused, or nothing.
func screen(event *Event) string {
	for _, part := range event.Texts() {
		if strings.Contains(part.Text, "forbidden") {
			return "Leave out what is forbidden."
		}
		if strings.Contains(part.Text, "secret") {
			text := strings.ReplaceAll(part.Text, "secret", "[removed]")
			if edit := event.SetText(part.Index, text); edit.IsErr() {
				log.Log(log.Level_Error, edit.Err().Message)
				return "Leave out the secret."
			}
		}
	}
	return ""
}

// logPanic tells the daemon's log why the plugin stops. Without it a panic tells nothing.
func logPanic() {
	if cause := recover(); cause != nil {
		log.Log(log.Level_Error, fmt.Sprint(cause))
		panic(cause)
	}
}
