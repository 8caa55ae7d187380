// Command hidden passes no header on, and yet tells which request made which call.
//
// The truth travels where no audit looks: a request's body names it, the bodies of the calls repeat that, and every
// answer gives it back as X-Truth, which is too late for anybody who would guess.
//
//	hidden -mode sequence   calls /a, /b and /c of its upstream, one after another
//	hidden -mode parallel   calls them at once
//	hidden -mode upstream   answers after 80 ms, more or less
//	hidden -mode load       sends -requests requests to its upstream, -clients at a time, and prints the seconds it took
//
// -work is the CPU time that is burned before each step; -poll the time between calls to /b that no request makes.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"traceaudit.test/services/internal/service"
)

var (
	mode     = flag.String("mode", "sequence", "sequence, parallel, upstream or load")
	work     = flag.Duration("work", 0, "CPU time burned before each step")
	poll     = flag.Duration("poll", 0, "time between calls that no request makes; 0: there are none")
	requests = flag.Int("requests", 1000, "requests to send")
	clients  = flag.Int("clients", 13, "requests at a time")
	took     = flag.Duration("took", 80*time.Millisecond, "how long an upstream takes")
)

var client = &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 256}}

func main() {
	flag.Parse()
	switch *mode {
	case "upstream":
		service.Run(http.HandlerFunc(answer))
	case "load":
		load()
	default:
		if *poll > 0 {
			go func() {
				for range time.Tick(*poll) {
					call("/b", "nobody")
				}
			}()
		}
		service.Run(http.HandlerFunc(serve))
	}
}

func answer(w http.ResponseWriter, r *http.Request) {
	truth, _ := io.ReadAll(r.Body)
	time.Sleep(time.Duration(float64(*took) * (0.75 + rand.Float64()/2)))
	w.Header().Set("X-Truth", string(truth))
}

func serve(w http.ResponseWriter, r *http.Request) {
	truth, _ := io.ReadAll(r.Body)
	burn()
	if *mode == "parallel" {
		var all sync.WaitGroup
		for _, path := range []string{"/a", "/b", "/c"} {
			all.Add(1)
			go func() {
				defer all.Done()
				call(path, string(truth))
			}()
		}
		all.Wait()
		burn()
	} else {
		for _, path := range []string{"/a", "/b", "/c"} {
			call(path, string(truth))
			burn()
		}
	}
	w.Header().Set("X-Truth", string(truth))
}

func burn() {
	for end := time.Now().Add(*work); time.Now().Before(end); {
	}
}

func call(path, truth string) {
	send(*service.Upstream+path, truth)
}

func send(url, truth string) {
	response, err := client.Post(url, "text/plain", bytes.NewBufferString(truth))
	if err != nil {
		log.Print(err)
		return
	}
	io.Copy(io.Discard, response.Body)
	response.Body.Close()
}

func load() {
	begun := time.Now()
	var next atomic.Int64
	var all sync.WaitGroup
	for range *clients {
		all.Add(1)
		go func() {
			defer all.Done()
			for {
				number := next.Add(1)
				if number > int64(*requests) {
					return
				}
				send(*service.Upstream+"/", fmt.Sprint(number))
			}
		}()
	}
	all.Wait()
	fmt.Println(time.Since(begun).Seconds())
}
