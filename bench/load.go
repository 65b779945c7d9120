package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// load is what one run of requests measured.
type load struct {
	PerSecond float64
	P50, P99  time.Duration
	Bytes     int64 // of the last answer's body
	Count     int
	CPU       time.Duration // of the server, for one request
}

// run sends requests over connections for a time. next gives the n-th request,
// whole; answers must be 200. The client is as lean as HTTP/1.1 allows, so
// that the figure is the server's more than its own.
func run(ctx context.Context, address string, connections int, d time.Duration, next func(n int) []byte) (load, error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var count, failed atomic.Int64
	var last atomic.Int64
	times := make([][]time.Duration, connections)
	errs := make([]error, connections)
	var wg sync.WaitGroup
	start := time.Now()
	for c := range connections {
		wg.Go(func() {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				errs[c] = err
				return
			}
			defer conn.Close()
			in := bufio.NewReaderSize(conn, 64<<10)
			for ctx.Err() == nil {
				n := int(count.Add(1))
				begin := time.Now()
				if _, err = conn.Write(next(n)); err == nil {
					var size int64
					size, err = answer(in)
					last.Store(size)
				}
				if err != nil {
					failed.Add(1)
					errs[c] = err
					return
				}
				times[c] = append(times[c], time.Since(begin))
			}
		})
	}
	wg.Wait()
	elapsed := time.Since(start)
	for _, err := range errs {
		if err != nil {
			return load{}, err
		}
	}
	all := slices.Concat(times...)
	slices.Sort(all)
	if len(all) == 0 {
		return load{}, fmt.Errorf("no request was answered in %v", d)
	}
	return load{PerSecond: float64(len(all)) / elapsed.Seconds(), P50: all[len(all)/2], P99: all[len(all)*99/100], Bytes: last.Load(), Count: len(all)}, nil
}

// answer reads one response of known length and gives its length.
func answer(in *bufio.Reader) (int64, error) {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	if !bytes.HasPrefix(line, []byte("HTTP/1.1 200")) {
		return 0, fmt.Errorf("the server answered %q", bytes.TrimSpace(line))
	}
	length := int64(-1)
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			break
		}
		if v, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.ParseInt(string(v), 10, 64); err != nil {
				return 0, err
			}
		}
	}
	if length < 0 {
		return 0, fmt.Errorf("the answer has no length")
	}
	_, err = io.CopyN(io.Discard, in, length)
	return length, err
}

// request is one GET.
func request(address, path, token string) []byte {
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nAccept: application/fhir+json\r\n\r\n", path, address, token)
}
