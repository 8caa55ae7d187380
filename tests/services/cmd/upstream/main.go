// Command upstream answers any request, and is what the other services call.
//
// Everything is answered with {"path": …}, except /echo, which answers the request's headers as [name, value] pairs in
// order of their names. With ?sleep_ms=N it takes that many milliseconds.
package main

import (
	"encoding/json"
	"flag"
	"net/http"
	"slices"
	"strconv"
	"time"

	"traceaudit.test/services/internal/service"
)

func main() {
	flag.Parse()
	service.Run(http.HandlerFunc(reply))
}

func reply(w http.ResponseWriter, r *http.Request) {
	if text := r.URL.Query().Get("sleep_ms"); text != "" {
		milliseconds, err := strconv.Atoi(text)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		select {
		case <-time.After(time.Duration(milliseconds) * time.Millisecond):
		case <-r.Context().Done():
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	if r.URL.Path == "/echo" {
		json.NewEncoder(w).Encode(pairs(r.Header))
		return
	}
	json.NewEncoder(w).Encode(map[string]string{"path": r.URL.Path})
}

func pairs(header http.Header) [][2]string {
	names := make([]string, 0, len(header))
	for name := range header {
		names = append(names, name)
	}
	slices.Sort(names)
	list := [][2]string{}
	for _, name := range names {
		for _, value := range header[name] {
			list = append(list, [2]string{name, value})
		}
	}
	return list
}
