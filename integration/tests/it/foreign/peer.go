// Go's net/http as a peer: a server of files, and a client that tries what dummy-server offers.
//
//	peer server ADDRESS DIRECTORY      both protocols on one port
//	peer client http1|http2 ADDRESS    prints how many replies of /bin it has read
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

func main() {
	log.SetFlags(0)
	switch {
	case len(os.Args) == 4 && os.Args[1] == "server":
		serve(os.Args[2], os.Args[3])
	case len(os.Args) == 4 && os.Args[1] == "client":
		ask(os.Args[2], "http://"+os.Args[3])
	default:
		log.Fatalf("usage: %s server|client ...", os.Args[0])
	}
}

func serve(address, directory string) {
	files := http.FileServer(http.Dir(directory))
	handler := func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			files.ServeHTTP(w, r)
			return
		}
		// Fails the request when the body breaks off.
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Write(body)
	}
	server := http.Server{Addr: address, Handler: http.HandlerFunc(handler), Protocols: both()}
	log.Fatal(server.ListenAndServe())
}

func both() *http.Protocols {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	return protocols
}

// expectPatience is how long a body waits for a 100 that does not come.
const expectPatience = 500 * time.Millisecond

// client is one that fails the program when anything is amiss.
type client struct {
	http.Client
	base  string
	major int
	// The replies of /bin.
	read atomic.Int64
	// The connections.
	dialed atomic.Int64
}

func ask(protocol, base string) {
	protocols := new(http.Protocols)
	c := client{base: base, major: 1}
	if protocol == "http2" {
		c.major = 2
		protocols.SetUnencryptedHTTP2(true)
	} else {
		protocols.SetHTTP1(true)
	}
	dialer := net.Dialer{}
	c.Transport = &http.Transport{
		Protocols:             protocols,
		MaxIdleConnsPerHost:   20,
		ExpectContinueTimeout: expectPatience,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c.dialed.Add(1)
			return dialer.DialContext(ctx, network, address)
		},
	}
	c.Timeout = 15 * time.Second

	c.many()
	c.heads()
	c.uploads()
	c.expectation()
	c.largeField()
	c.cancels()
	c.bin(1 << 20)
	if c.major == 2 && c.dialed.Load() != 1 {
		log.Fatalf("%d connections, where one carries all", c.dialed.Load())
	}
	fmt.Println(c.read.Load())
}

// exchange reads a reply whole; its framing is checked by net/http.
func (c *client) exchange(method, path string, body io.Reader, edit func(*http.Request)) (*http.Response, []byte) {
	request, err := http.NewRequest(method, c.base+path, body)
	if err != nil {
		log.Fatal(err)
	}
	if edit != nil {
		edit(request)
	}
	response, err := c.Do(request)
	if err != nil {
		log.Fatalf("%s %s: %v", method, path, err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		log.Fatalf("%s %s: body: %v", method, path, err)
	}
	if response.StatusCode != 200 || response.ProtoMajor != c.major {
		log.Fatalf("%s %s: %s %s", method, path, response.Proto, response.Status)
	}
	return response, content
}

func (c *client) bin(size int) {
	path := fmt.Sprintf("/bin/%d", size)
	if size%2 == 1 {
		path += "?chunked=true"
	}
	_, content := c.exchange("GET", path, nil, nil)
	const pattern = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	whole := strings.Repeat(pattern, size/len(pattern)+1)[:size]
	if string(content) != whole {
		log.Fatalf("%s: %d bytes that are not the pattern", path, len(content))
	}
	c.read.Add(1)
}

func (c *client) many() {
	// The first reply has come before the rest are asked for: all of them share its connection in HTTP/2.
	c.bin(1)
	var group sync.WaitGroup
	for worker := range 20 {
		group.Add(1)
		go func() {
			defer group.Done()
			for round := range 15 {
				c.bin(worker*1000 + round + 1)
			}
		}()
	}
	group.Wait()
}

func (c *client) heads() {
	response, content := c.exchange("HEAD", "/bin/5000", nil, nil)
	if len(content) != 0 || response.ContentLength != 5000 {
		log.Fatalf("HEAD: %d bytes, length %d", len(content), response.ContentLength)
	}
	c.read.Add(1)
}

func (c *client) uploads() {
	content := bytes.Repeat([]byte("x"), 1<<20)
	// One with a length, one whose length the client does not know: chunked in HTTP/1.1. That one has trailers.
	c.received("/upload", bytes.NewReader(content), len(content), nil)
	c.received("/upload", io.MultiReader(bytes.NewReader(content)), len(content), func(r *http.Request) {
		r.Trailer = http.Header{"X-Sum": {"1234"}}
	})
	c.received("/upload", http.NoBody, 0, nil)
}

func (c *client) received(path string, body io.Reader, size int, edit func(*http.Request)) {
	_, content := c.exchange("POST", path, body, edit)
	var reply struct {
		BytesReceived int `json:"bytes_received"`
	}
	if err := json.Unmarshal(content, &reply); err != nil || reply.BytesReceived != size {
		log.Fatalf("%s: %s after %d bytes", path, content, size)
	}
}

func (c *client) expectation() {
	told := false
	c.received("/upload", strings.NewReader("some body"), 9, func(r *http.Request) {
		r.Header.Set("Expect", "100-continue")
		trace := httptrace.ClientTrace{Got100Continue: func() { told = true }}
		*r = *r.WithContext(httptrace.WithClientTrace(r.Context(), &trace))
	})
	if !told {
		log.Fatal("no 100 to what expects one")
	}
}

func (c *client) largeField() {
	value := strings.Repeat("v", 40_000)
	_, content := c.exchange("GET", "/", nil, func(r *http.Request) { r.Header.Set("X-Large", value) })
	if !bytes.Contains(content, []byte(value)) {
		log.Fatal("the echo lacks a large field")
	}
}

// cancels gives up before the reply, and within it.
func (c *client) cancels() {
	for _, path := range []string{"/delay/60000", "/bin/100M", "/chunked/100000?delay=20"} {
		for range 5 {
			ctx, cancel := context.WithCancel(context.Background())
			request, _ := http.NewRequestWithContext(ctx, "GET", c.base+path, nil)
			if strings.HasPrefix(path, "/delay") {
				trace := httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { cancel() }}
				request = request.WithContext(httptrace.WithClientTrace(ctx, &trace))
			}
			response, err := c.Do(request)
			if err == nil {
				io.ReadFull(response.Body, make([]byte, 1000))
				cancel()
				response.Body.Close()
			}
			cancel()
			c.bin(100)
		}
	}
}
