package service

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
)

// TraceHeaders are the headers that Istio asks a service to forward.
// See https://istio.io/latest/docs/tasks/observability/distributed-tracing/overview/
var TraceHeaders = []string{
	"X-Request-Id",
	"Traceparent", "Tracestate",
	"B3",
	"X-B3-Traceid", "X-B3-Spanid", "X-B3-Parentspanid", "X-B3-Sampled", "X-B3-Flags",
}

// Forwarded returns those of a request's headers that have to be forwarded, every line of them.
func Forwarded(from http.Header) http.Header {
	header := http.Header{}
	for _, name := range TraceHeaders {
		for _, value := range from.Values(name) {
			header.Add(name, value)
		}
	}
	return header
}

// NewTrace returns the headers of a new and sampled trace's first span, in every format.
func NewTrace() http.Header {
	traceID, spanID := RandomHex(16), RandomHex(8)
	header := http.Header{}
	header.Set("Traceparent", "00-"+traceID+"-"+spanID+"-01")
	header.Set("B3", traceID+"-"+spanID+"-1")
	header.Set("X-B3-Traceid", traceID)
	header.Set("X-B3-Spanid", spanID)
	header.Set("X-B3-Sampled", "1")
	return header
}

// RandomHex returns that many random bytes in hexadecimal digits.
func RandomHex(bytes int) string {
	id := make([]byte, bytes)
	rand.Read(id)
	return hex.EncodeToString(id)
}

// NewUUID returns a random UUID (version 4).
func NewUUID() string {
	var id [16]byte
	rand.Read(id[:])
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}
