// Package sessiond is a client of sessiond, the daemon that keeps the sessions of AI agents.
//
// It needs the standard library only. Adapters for frameworks are modules of their own, in the
// folders trpcsession and adksession.
package sessiond

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// DefaultURL is where a daemon listens that was told nothing else.
const DefaultURL = "http://127.0.0.1:7717"

// Client talks to a daemon. It may be used by many goroutines at once.
type Client struct {
	base    string
	token   string
	http    *http.Client
	retry   Retry
	timeout time.Duration
}

// Retry bounds how often, and after which time, a request is sent again.
type Retry struct {
	// Attempts is how often a request is sent at most, the first time included.
	Attempts int
	// FirstDelay is the wait before the second attempt; each further one waits twice as long.
	FirstDelay time.Duration
	// LongestDelay is what no wait goes beyond, whatever the daemon asks for.
	LongestDelay time.Duration
}

// Option sets something of a Client.
type Option func(*Client)

// WithToken shows a bearer token. Without it the variable SESSIOND_TOKEN is used.
func WithToken(token string) Option { return func(c *Client) { c.token = token } }

// WithHTTPClient sends through another http.Client, which must not have a time-out of its own if
// sessions are watched.
func WithHTTPClient(client *http.Client) Option { return func(c *Client) { c.http = client } }

// WithRetry sets the bounds of sending again: 5 attempts, 100 ms, 2 s.
func WithRetry(retry Retry) Option { return func(c *Client) { c.retry = retry } }

// WithTimeout limits one attempt: 30 s. The context limits the whole.
func WithTimeout(timeout time.Duration) Option { return func(c *Client) { c.timeout = timeout } }

// New makes a client of the daemon at a URL. An empty one is the variable SESSIOND_URL, or DefaultURL.
func New(base string, options ...Option) *Client {
	if base == "" {
		base = os.Getenv("SESSIOND_URL")
	}
	if base == "" {
		base = DefaultURL
	}
	c := &Client{
		base:    strings.TrimRight(base, "/"),
		token:   os.Getenv("SESSIOND_TOKEN"),
		http:    &http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone()},
		retry:   Retry{Attempts: 5, FirstDelay: 100 * time.Millisecond, LongestDelay: 2 * time.Second},
		timeout: 30 * time.Second,
	}
	for _, option := range options {
		option(c)
	}
	return c
}

// Close ends the connections that nobody uses.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Error is a refusal. Tell cases apart by Code, which is stable.
type Error struct {
	// Status is the HTTP status.
	Status int `json:"status"`
	// Code is the stable code, such as "session_not_found".
	Code string `json:"code"`
	// Detail is a sentence that says what to do.
	Detail string `json:"detail"`
	// Plugin is the plugin that refused, if one did, and Rejection what it said.
	Plugin    string `json:"plugin"`
	Rejection string `json:"rejection"`
}

func (e *Error) Error() string { return "sessiond: " + e.Code + ": " + e.Detail }

// IsCode tells whether an error is a refusal with a code.
func IsCode(err error, code string) bool {
	var refusal *Error
	return errors.As(err, &refusal) && refusal.Code == code
}

// call is a request. One that is not repeatable is sent again only if it was surely not done.
type call struct {
	method, path string
	query        url.Values
	header       map[string]string
	body         any
	repeatable   bool
}

// do sends until there is an answer that another attempt would not better.
func (c *Client) do(ctx context.Context, call call, into any) error {
	var body []byte
	if call.body != nil {
		var err error
		if body, err = encode(call.body); err != nil {
			return fmt.Errorf("sessiond: the request is not JSON: %w", err)
		}
	}
	for attempt := 1; ; attempt++ {
		again, after, err := c.try(ctx, call, body, into)
		if err == nil {
			return nil
		}
		if !again || attempt >= c.retry.Attempts || ctx.Err() != nil {
			return err
		}
		if wait(ctx, c.retry.delay(attempt, after)) != nil {
			return err
		}
	}
}

// try makes one attempt, and says whether another may follow and how long the daemon asks to wait.
func (c *Client) try(ctx context.Context, call call, body []byte, into any) (bool, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	response, err := c.send(ctx, call, body)
	if err != nil {
		return call.repeatable || neverSent(err), 0, fmt.Errorf("sessiond: %w", err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return call.repeatable, 0, fmt.Errorf("sessiond: %w", err)
	}
	if response.StatusCode >= 400 {
		problem := problemOf(response.StatusCode, text)
		seconds, _ := strconv.Atoi(response.Header.Get("Retry-After"))
		again := transient(problem.Status) && (call.repeatable || nothingDone(problem.Code))
		return again, time.Duration(seconds) * time.Second, problem
	}
	if into == nil {
		return false, 0, nil
	}
	if err := json.Unmarshal(text, into); err != nil {
		return false, 0, fmt.Errorf("sessiond: the answer is not what it should be: %w", err)
	}
	return false, 0, nil
}

func (c *Client) send(ctx context.Context, call call, body []byte) (*http.Response, error) {
	target := c.base + call.path
	if len(call.query) > 0 {
		target += "?" + call.query.Encode()
	}
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	request, err := http.NewRequestWithContext(ctx, call.method, target, reader)
	if err != nil {
		return nil, err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	for name, value := range call.header {
		if value != "" {
			request.Header.Set(name, value)
		}
	}
	return c.http.Do(request)
}

func encode(value any) ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return bytes.TrimRight(text.Bytes(), "\n"), err
}

func problemOf(status int, text []byte) *Error {
	problem := &Error{}
	if json.Unmarshal(text, problem) != nil || problem.Code == "" {
		if len(text) > 200 {
			text = text[:200]
		}
		problem = &Error{Code: fmt.Sprintf("http_%d", status), Detail: string(text)}
	}
	problem.Status = status
	return problem
}

func transient(status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable,
		http.StatusGatewayTimeout:
		return true
	}
	return false
}

// nothingDone knows the codes that are said before anything is done.
func nothingDone(code string) bool { return code == "starting" || code == "stopping" }

func neverSent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// delay is spread, so that clients that failed together part.
func (r Retry) delay(attempt int, after time.Duration) time.Duration {
	delay := r.FirstDelay
	for ; attempt > 1 && delay < r.LongestDelay; attempt-- {
		delay *= 2
	}
	delay = time.Duration(float64(delay) * (0.5 + mathrand.Float64()/2))
	if after > delay {
		delay = after
	}
	if delay > r.LongestDelay {
		delay = r.LongestDelay
	}
	return delay
}

func wait(ctx context.Context, delay time.Duration) error {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// NewID makes an id for an item: a random UUID.
func NewID() string {
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		panic(err)
	}
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}
