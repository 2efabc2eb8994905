package adksession

import (
	"encoding/json"
	"fmt"
	"time"

	"google.golang.org/adk/model"
	"google.golang.org/adk/session"
	"google.golang.org/adk/tool/toolconfirmation"
	"google.golang.org/genai"
)

// wire is an event as ADK's other languages write it. Maps and lists are pointers, so that none and an
// empty one stay apart.
type wire struct {
	ID                 string      `json:"id"`
	InvocationID       string      `json:"invocationId"`
	Author             string      `json:"author"`
	Timestamp          json.Number `json:"timestamp"`
	Branch             string      `json:"branch,omitempty"`
	LongRunningToolIDs *[]string   `json:"longRunningToolIds,omitempty"`
	// The time exactly, which seconds as a float are not.
	Time time.Time `json:"goTimestamp"`

	Content           *genai.Content                              `json:"content,omitempty"`
	CitationMetadata  *genai.CitationMetadata                     `json:"citationMetadata,omitempty"`
	GroundingMetadata *genai.GroundingMetadata                    `json:"groundingMetadata,omitempty"`
	UsageMetadata     *genai.GenerateContentResponseUsageMetadata `json:"usageMetadata,omitempty"`
	CustomMetadata    *map[string]any                             `json:"customMetadata,omitempty"`
	LogprobsResult    *genai.LogprobsResult                       `json:"logprobsResult,omitempty"`
	ModelVersion      string                                      `json:"modelVersion,omitempty"`
	TurnComplete      bool                                        `json:"turnComplete,omitempty"`
	Interrupted       bool                                        `json:"interrupted,omitempty"`
	ErrorCode         string                                      `json:"errorCode,omitempty"`
	ErrorMessage      string                                      `json:"errorMessage,omitempty"`
	FinishReason      genai.FinishReason                          `json:"finishReason,omitempty"`
	AvgLogprobs       float64                                     `json:"avgLogprobs,omitempty"`

	Actions actions `json:"actions"`
}

type actions struct {
	StateDelta                 *map[string]any                               `json:"stateDelta,omitempty"`
	ArtifactDelta              *map[string]int64                             `json:"artifactDelta,omitempty"`
	RequestedToolConfirmations *map[string]toolconfirmation.ToolConfirmation `json:"requestedToolConfirmations,omitempty"`
	SkipSummarization          bool                                          `json:"skipSummarization,omitempty"`
	TransferToAgent            string                                        `json:"transferToAgent,omitempty"`
	Escalate                   bool                                          `json:"escalate,omitempty"`
}

func mapOf[V any](it map[string]V) *map[string]V {
	if it == nil {
		return nil
	}
	return &it
}

func valueOf[T any](it *T) T {
	if it == nil {
		var none T
		return none
	}
	return *it
}

func encode(e *session.Event) (json.RawMessage, error) {
	w := wire{
		ID: e.ID, InvocationID: e.InvocationID, Author: e.Author, Branch: e.Branch, Time: e.Timestamp,
		Timestamp: json.Number(fmt.Sprintf("%d.%09d", e.Timestamp.Unix(), e.Timestamp.Nanosecond())),
		Content:   e.Content, CitationMetadata: e.CitationMetadata, GroundingMetadata: e.GroundingMetadata,
		UsageMetadata: e.UsageMetadata, CustomMetadata: mapOf(e.CustomMetadata), LogprobsResult: e.LogprobsResult,
		ModelVersion: e.ModelVersion, TurnComplete: e.TurnComplete, Interrupted: e.Interrupted,
		ErrorCode: e.ErrorCode, ErrorMessage: e.ErrorMessage, FinishReason: e.FinishReason, AvgLogprobs: e.AvgLogprobs,
		Actions: actions{
			StateDelta: mapOf(e.Actions.StateDelta), ArtifactDelta: mapOf(e.Actions.ArtifactDelta),
			RequestedToolConfirmations: mapOf(e.Actions.RequestedToolConfirmations),
			SkipSummarization:          e.Actions.SkipSummarization, TransferToAgent: e.Actions.TransferToAgent,
			Escalate: e.Actions.Escalate,
		},
	}
	if e.LongRunningToolIDs != nil {
		w.LongRunningToolIDs = &e.LongRunningToolIDs
	}
	body, err := json.Marshal(w)
	if err != nil {
		return nil, fmt.Errorf("the event %q is not JSON: %w", e.ID, err)
	}
	return body, nil
}

func decode(body json.RawMessage) (*session.Event, error) {
	var w wire
	if err := json.Unmarshal(body, &w); err != nil {
		return nil, err
	}
	if w.Time.IsZero() && w.Timestamp != "" {
		// Written in another language.
		seconds, err := w.Timestamp.Float64()
		if err != nil {
			return nil, err
		}
		w.Time = time.UnixMicro(int64(seconds * 1e6))
	}
	return &session.Event{
		ID: w.ID, InvocationID: w.InvocationID, Author: w.Author, Branch: w.Branch, Timestamp: w.Time,
		LongRunningToolIDs: valueOf(w.LongRunningToolIDs),
		LLMResponse: model.LLMResponse{
			Content: w.Content, CitationMetadata: w.CitationMetadata, GroundingMetadata: w.GroundingMetadata,
			UsageMetadata: w.UsageMetadata, CustomMetadata: valueOf(w.CustomMetadata), LogprobsResult: w.LogprobsResult,
			ModelVersion: w.ModelVersion, TurnComplete: w.TurnComplete, Interrupted: w.Interrupted,
			ErrorCode: w.ErrorCode, ErrorMessage: w.ErrorMessage, FinishReason: w.FinishReason, AvgLogprobs: w.AvgLogprobs,
		},
		Actions: session.EventActions{
			StateDelta: valueOf(w.Actions.StateDelta), ArtifactDelta: valueOf(w.Actions.ArtifactDelta),
			RequestedToolConfirmations: valueOf(w.Actions.RequestedToolConfirmations),
			SkipSummarization:          w.Actions.SkipSummarization, TransferToAgent: w.Actions.TransferToAgent,
			Escalate: w.Actions.Escalate,
		},
	}, nil
}
