package main

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"traceaudit.test/services/internal/service"
)

// The flags of level 2, https://www.w3.org/TR/trace-context-2/#trace-flags
const (
	sampled = 0x01
	random  = 0x02
)

const mostMembers = 32

var (
	// "Vendors MUST ignore the traceparent when the trace-id is invalid", and so for version ff and the parent id.
	// https://www.w3.org/TR/trace-context-2/#traceparent-header
	traceparent = regexp.MustCompile(`^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$`)

	// https://www.w3.org/TR/trace-context-2/#key and #value
	member = regexp.MustCompile(`^[a-z0-9][a-z0-9_\-*/@]{0,255}=` +
		`[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$`)
)

// A traceContext is the trace that a request belongs to.
type traceContext struct {
	traceID string
	flags   byte
	state   []string // the members of tracestate, in order
}

// extract reads the trace of a request, or starts one if the request brings none that is valid.
func extract(header http.Header) traceContext {
	trace, ok := parseTraceparent(header.Values("Traceparent"))
	if !ok {
		// "If the vendor failed to parse traceparent, it MUST NOT attempt to parse tracestate."
		// https://www.w3.org/TR/trace-context-2/#a-traceparent-is-received
		return traceContext{traceID: service.RandomHex(16), flags: sampled | random}
	}
	trace.state = parseTracestate(header.Values("Tracestate"))
	return trace
}

// parseTraceparent reads the one line that there must be. Several lines are as good as none.
func parseTraceparent(lines []string) (traceContext, bool) {
	if len(lines) != 1 {
		return traceContext{}, false
	}
	fields := traceparent.FindStringSubmatch(lines[0])
	if fields == nil {
		return traceContext{}, false
	}
	version, traceID, parentID, rest := fields[1], fields[2], fields[3], fields[5]
	if version == "ff" || version == "00" && rest != "" {
		return traceContext{}, false
	}
	if strings.Trim(traceID, "0") == "" || strings.Trim(parentID, "0") == "" {
		return traceContext{}, false
	}
	flags, err := hex.DecodeString(fields[4])
	if err != nil {
		return traceContext{}, false
	}
	// "The behavior of other flags … is not defined and is reserved for future use. Vendors MUST set those to zero."
	// https://www.w3.org/TR/trace-context-2/#other-flags
	return traceContext{traceID: traceID, flags: flags[0] & (sampled | random)}, true
}

// parseTracestate combines the lines to one list. A list with anything wrong in it is discarded as a whole.
func parseTracestate(lines []string) []string {
	members := []string{}
	for _, text := range strings.Split(strings.Join(lines, ","), ",") {
		text = strings.Trim(text, " \t")
		if text == "" {
			continue // "Empty and whitespace-only list members are allowed."
		}
		if !member.MatchString(text) {
			return nil
		}
		members = append(members, text)
	}
	if len(members) > mostMembers {
		return nil
	}
	return members
}

// inject writes the headers of one call: the trace, under a span id of the call's own. The version is the highest that
// is known here, whichever came in.
func (t traceContext) inject(header http.Header) {
	header.Set("Traceparent", fmt.Sprintf("00-%s-%s-%02x", t.traceID, newSpanID(), t.flags))
	if len(t.state) > 0 {
		header.Set("Tracestate", strings.Join(t.state, ","))
	}
}

func newSpanID() string {
	for {
		if id := service.RandomHex(8); strings.Trim(id, "0") != "" {
			return id
		}
	}
}
