package trpcsession

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"trpc.group/trpc-go/trpc-agent-go/session"

	sessiond "github.com/sessiond/sessiond/clients/go"
)

// tracksKey is the key of the state under which the framework lists the tracks of a session.
const tracksKey = "tracks"

// AppendTrackEvent appends an event to a track, and changes the given session likewise.
func (s *Service) AppendTrackEvent(
	ctx context.Context, sess *session.Session, e *session.TrackEvent, options ...session.Option,
) error {
	key, err := sessionKey(sess)
	if err != nil {
		return err
	}
	if e == nil {
		return errors.New("track event is nil")
	}
	body, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("marshal track event failed: %w", err)
	}
	if err := s.client.AppendTrack(ctx, keyOf(key), string(e.Track), []json.RawMessage{body}); err != nil {
		return wrap("append track event", err)
	}
	before, _ := sess.GetState(tracksKey)
	if err := sess.AppendTrackEvent(e, options...); err != nil {
		return err
	}
	after, _ := sess.GetState(tracksKey)
	if string(before) == string(after) {
		return nil
	}
	// A new track: the index is read anew, for another writer may have added one.
	return s.indexTrack(ctx, key, e.Track)
}

func (s *Service) indexTrack(ctx context.Context, key session.Key, track session.Track) error {
	scope := sessiond.SessionState(keyOf(key))
	stored, err := s.client.GetState(ctx, scope)
	if err != nil {
		return wrap("index track", err)
	}
	state, err := decodeState(stored)
	if err != nil {
		return err
	}
	tracks, err := session.TracksFromState(state)
	if err != nil {
		return err
	}
	for _, known := range tracks {
		if known == track {
			return nil
		}
	}
	index, err := json.Marshal(append(tracks, track))
	if err != nil {
		return err
	}
	return wrap("index track", s.client.PatchState(ctx, scope, encodeState(session.StateMap{tracksKey: index})))
}

// addTracks reads the tracks that the state lists.
func (s *Service) addTracks(ctx context.Context, sess *session.Session, opts *session.Options) error {
	tracks, err := session.TracksFromState(sess.State)
	if err != nil {
		return err
	}
	key := sessiond.Key{App: sess.AppName, User: sess.UserID, Session: sess.ID}
	for _, track := range tracks {
		events, err := s.track(ctx, key, track, opts)
		if err != nil {
			return err
		}
		if sess.Tracks == nil {
			sess.Tracks = map[session.Track]*session.TrackEvents{}
		}
		sess.Tracks[track] = &session.TrackEvents{Track: track, Events: events}
	}
	return nil
}

func (s *Service) track(
	ctx context.Context, key sessiond.Key, track session.Track, opts *session.Options,
) ([]session.TrackEvent, error) {
	var events []session.TrackEvent
	for after := int64(0); ; {
		page, err := s.client.Track(ctx, key, string(track), after, 1000)
		if isMissing(err) {
			return nil, nil
		}
		if err != nil {
			return nil, wrap("read track", err)
		}
		for _, stored := range page.Events {
			var e session.TrackEvent
			if err := json.Unmarshal(stored.Event, &e); err != nil {
				return nil, fmt.Errorf("track %q: %w", track, err)
			}
			if since(e.Timestamp, opts.EventTime) {
				events = append(events, e)
			}
		}
		if after = page.NextAfterSeq; after == 0 {
			break
		}
	}
	if opts.EventNum > 0 && len(events) > opts.EventNum {
		events = events[len(events)-opts.EventNum:]
	}
	return events, nil
}
