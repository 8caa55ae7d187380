package main

import (
	"net/http"
	"slices"
	"strings"

	"traceaudit.test/services/internal/service"
)

// wrong holds what a /wrong/ route does to the headers that it was going to forward. What is not there is left alone.
var wrong = map[string]func(http.Header){
	"duplicate":           duplicate,
	"rename":              rename,
	"flags-zero":          flagsZero,
	"tracestate-reversed": tracestateReversed,
	"new-trace-id":        newTraceID,
	"tracestate-dropped":  func(header http.Header) { header.Del("Tracestate") },
	"id-cut":              cutID,
	"upper-case":          upperCase,
	"empty":               empty,
	"request-id":          func(header http.Header) { header.Set("X-Request-Id", service.NewUUID()) },
	"request-id-text":     func(header http.Header) { header.Set("X-Request-Id", "req-"+service.RandomHex(6)) },
}

// duplicate sends traceparent twice.
func duplicate(header http.Header) {
	if traceparent := header.Get("Traceparent"); traceparent != "" {
		header.Add("Traceparent", traceparent)
	}
}

// rename sends traceparent under a name that nobody reads.
func rename(header http.Header) {
	if traceparent := header.Get("Traceparent"); traceparent != "" {
		header.Set("Trace-Parent", traceparent)
		header.Del("Traceparent")
	}
}

// flagsZero turns sampling off in every format.
func flagsZero(header http.Header) {
	if fields := strings.Split(header.Get("Traceparent"), "-"); len(fields) >= 4 {
		fields[3] = "00"
		header.Set("Traceparent", strings.Join(fields, "-"))
	}
	if fields := strings.Split(header.Get("B3"), "-"); len(fields) >= 3 {
		fields[2] = "0"
		header.Set("B3", strings.Join(fields, "-"))
	}
	if header.Get("X-B3-Sampled") != "" {
		header.Set("X-B3-Sampled", "0")
	}
}

// tracestateReversed changes the order of members that it has no business with.
func tracestateReversed(header http.Header) {
	if lines := header.Values("Tracestate"); len(lines) > 0 {
		members := strings.Split(strings.Join(lines, ","), ",")
		slices.Reverse(members)
		header.Set("Tracestate", strings.Join(members, ","))
	}
}

// newTraceID puts one new trace id into every format.
func newTraceID(header http.Header) {
	id := service.RandomHex(16)
	if fields := strings.Split(header.Get("Traceparent"), "-"); len(fields) >= 4 {
		fields[1] = id
		header.Set("Traceparent", strings.Join(fields, "-"))
	}
	if fields := strings.Split(header.Get("B3"), "-"); len(fields) >= 2 {
		fields[0] = id
		header.Set("B3", strings.Join(fields, "-"))
	}
	if header.Get("X-B3-Traceid") != "" {
		header.Set("X-B3-Traceid", id)
	}
}

// cutID leaves the lower 64 of the 128 bits in the B3 headers, as clients do that know no more of them.
func cutID(header http.Header) {
	if fields := strings.Split(header.Get("B3"), "-"); len(fields) >= 2 && len(fields[0]) == 32 {
		fields[0] = fields[0][16:]
		header.Set("B3", strings.Join(fields, "-"))
	}
	if id := header.Get("X-B3-Traceid"); len(id) == 32 {
		header.Set("X-B3-Traceid", id[16:])
	}
}

// upperCase writes the traceparent's hexadecimal digits as capitals.
func upperCase(header http.Header) {
	if traceparent := header.Get("Traceparent"); traceparent != "" {
		header.Set("Traceparent", strings.ToUpper(traceparent))
	}
}

// empty copies x-b3-parentspanid blindly: where there is none, it sends the header without a value.
func empty(header http.Header) {
	header["X-B3-Parentspanid"] = []string{header.Get("X-B3-Parentspanid")}
}
