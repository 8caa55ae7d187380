// Command sharing keeps things that requests share, rightly and wrongly. Each request by itself is served rightly.
//
// Wrong with many at once: /current/… (one variable holds the latest request's headers, all of them), /current-trace/…
// (likewise, but x-request-id is the request's own), /pooled/… (headers from a pool, given back before they are used),
// /exchanged/… (two that are there together take each other's headers), /fatal/… (ends the service, as the runtime does
// when two write to a map).
// Right: /own/… (one client and a pool, both used as they should be), /once/… (requests for one path share one call),
// /cached/… (a call's answer serves others for a while), /again/… (a call that takes long is made a second time).
package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"traceaudit.test/services/internal/service"
)

func main() {
	flag.Parse()
	mux := http.NewServeMux()
	for prefix, serve := range map[string]func(*http.Request) ([]byte, error){
		"current":       func(r *http.Request) ([]byte, error) { return fromCurrent(r, false) },
		"current-trace": func(r *http.Request) ([]byte, error) { return fromCurrent(r, true) },
		"pooled":        givenBackEarly,
		"exchanged":     exchanged,
		"fatal":         fatal,
		"own":           own,
		"once":          once,
		"cached":        cached,
		"again":         again,
	} {
		mux.HandleFunc("GET /"+prefix+"/{path...}", func(w http.ResponseWriter, r *http.Request) {
			body, err := serve(r)
			service.Answer(w, err, body)
		})
	}
	service.Run(mux)
}

// prepare stands for the work that comes between a request and its call.
func prepare() { time.Sleep(5 * time.Millisecond) }

func call(r *http.Request, header http.Header) ([]byte, error) {
	return service.Get(r.Context(), service.Target(r, ""), header)
}

var current struct {
	sync.Mutex
	header http.Header
}

func fromCurrent(r *http.Request, ownID bool) ([]byte, error) {
	current.Lock()
	current.header = service.Forwarded(r.Header)
	current.Unlock()
	prepare()
	current.Lock()
	header := current.header.Clone()
	current.Unlock()
	if ownID {
		header.Set("X-Request-Id", r.Header.Get("X-Request-Id"))
	}
	return call(r, header)
}

// slots hands out the slot that was given back last.
type slots struct {
	sync.Mutex
	free []*slot
}

type slot struct {
	sync.Mutex
	header http.Header
}

func (s *slots) take() *slot {
	s.Lock()
	defer s.Unlock()
	if len(s.free) == 0 {
		return &slot{}
	}
	last := s.free[len(s.free)-1]
	s.free = s.free[:len(s.free)-1]
	return last
}

func (s *slots) give(back *slot) {
	s.Lock()
	defer s.Unlock()
	s.free = append(s.free, back)
}

func (s *slot) set(header http.Header) {
	s.Lock()
	defer s.Unlock()
	s.header = header
}

func (s *slot) get() http.Header {
	s.Lock()
	defer s.Unlock()
	return s.header.Clone()
}

var early, late slots

func givenBackEarly(r *http.Request) ([]byte, error) {
	mine := early.take()
	mine.set(service.Forwarded(r.Header))
	early.give(mine)
	prepare()
	return call(r, mine.get())
}

func own(r *http.Request) ([]byte, error) {
	mine := late.take()
	defer late.give(mine)
	mine.set(service.Forwarded(r.Header))
	prepare()
	return call(r, mine.get())
}

var waiting struct {
	sync.Mutex
	other chan swap
}

type swap struct {
	header http.Header
	back   chan http.Header
}

// exchanged waits a moment for another request, and each goes on with the other's headers.
func exchanged(r *http.Request) ([]byte, error) {
	header := service.Forwarded(r.Header)
	waiting.Lock()
	if other := waiting.other; other != nil {
		waiting.other = nil
		waiting.Unlock()
		back := make(chan http.Header, 1)
		other <- swap{header, back}
		return call(r, <-back)
	}
	mine := make(chan swap, 1)
	waiting.other = mine
	waiting.Unlock()
	select {
	case theirs := <-mine:
		theirs.back <- header
		header = theirs.header
	case <-time.After(20 * time.Millisecond):
		waiting.Lock()
		alone := waiting.other == mine
		if alone {
			waiting.other = nil
		}
		waiting.Unlock()
		if !alone {
			theirs := <-mine
			theirs.back <- header
			header = theirs.header
		}
	}
	return call(r, header)
}

var inside atomic.Int32

func fatal(r *http.Request) ([]byte, error) {
	if inside.Add(1) > 1 {
		fmt.Fprintln(os.Stderr, "fatal error: concurrent map writes")
		os.Exit(2)
	}
	defer inside.Add(-1)
	prepare()
	return call(r, service.Forwarded(r.Header))
}

type flight struct {
	done chan struct{}
	body []byte
	err  error
}

var flights = struct {
	sync.Mutex
	byPath map[string]*flight
}{byPath: map[string]*flight{}}

// once is what singleflight does: those who come while a call is under way get its answer.
func once(r *http.Request) ([]byte, error) {
	key := r.URL.String()
	flights.Lock()
	if under := flights.byPath[key]; under != nil {
		flights.Unlock()
		<-under.done
		return under.body, under.err
	}
	mine := &flight{done: make(chan struct{})}
	flights.byPath[key] = mine
	flights.Unlock()
	mine.body, mine.err = call(r, service.Forwarded(r.Header))
	flights.Lock()
	delete(flights.byPath, key)
	flights.Unlock()
	close(mine.done)
	return mine.body, mine.err
}

var cache = struct {
	sync.Mutex
	bodies map[string][]byte
}{bodies: map[string][]byte{}}

// cached keeps an answer for less time than lies between requests that come one at a time.
func cached(r *http.Request) ([]byte, error) {
	key := r.URL.String()
	cache.Lock()
	body := cache.bodies[key]
	cache.Unlock()
	if body != nil {
		return body, nil
	}
	body, err := call(r, service.Forwarded(r.Header))
	if err == nil {
		cache.Lock()
		cache.bodies[key] = body
		cache.Unlock()
		time.AfterFunc(20*time.Millisecond, func() {
			cache.Lock()
			delete(cache.bodies, key)
			cache.Unlock()
		})
	}
	return body, err
}

// again hedges: when no answer is there in time, it asks a second time and takes whichever comes first.
func again(r *http.Request) ([]byte, error) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	type answer struct {
		body []byte
		err  error
	}
	answers := make(chan answer, 2)
	ask := func() {
		body, err := service.Get(ctx, service.Target(r, ""), service.Forwarded(r.Header))
		answers <- answer{body, err}
	}
	go ask()
	select {
	case first := <-answers:
		return first.body, first.err
	case <-time.After(25 * time.Millisecond):
		go ask()
	}
	first := <-answers
	return first.body, first.err
}
