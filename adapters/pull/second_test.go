package pull

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"firebreak/adapters/peer"
	"firebreak/internal/twin"
)

// second is another Firebreak that this one asks. It is killed when its faults
// say so. What it should have stands in the house's upstream, which nobody asks.
type second struct {
	*twin.Twin
	h     *house
	turn  chan struct{} // holds one while a request is answered: a Mutex would stop the test's time
	fault func() fault
}

const killed = faults

func (s *second) RoundTrip(r *http.Request) (*http.Response, error) {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	refuse := func(status int, wait string) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: http.Header{"Retry-After": {wait}}, Body: http.NoBody, Request: r}, nil
	}
	f := s.fault()
	switch f {
	case tooMany:
		return refuse(http.StatusTooManyRequests, "7")
	case unavailable:
		return refuse(http.StatusServiceUnavailable, "11")
	case broken:
		return refuse(http.StatusInternalServerError, "")
	case killed:
		s.Kill()
		return nil, io.ErrUnexpectedEOF
	}
	got := s.Ask(r)
	got.Header.Set("Date", time.Now().UTC().Format(http.TimeFormat)) // as a server of HTTP does
	got.Request = r
	if f == cut {
		got.Body = io.NopCloser(io.MultiReader(io.LimitReader(got.Body, 100), broke{}))
	}
	return got, nil
}

// broke is a connection that breaks.
type broke struct{}

func (broke) Read([]byte) (int, error) { return 0, errors.New("connection reset by peer") }

// put changes a resource, with the value in its place; one of its own number.
func (s *second) put(typ, id, owner string, value int) {
	s.h.up.put(typ, id, owner, value)
	body := s.h.up.all[typ+"/"+id].json()
	delete(body, "meta")
	b, err := json.Marshal(body)
	s.h.must(err)
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	s.Put(typ+"/"+id, string(b))
}

func (s *second) drop(key string) {
	s.h.up.drop(key)
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	s.Put(key, "")
}

// From another Firebreak: whatever fails on the way, and whenever either is
// killed, in the end what it has is here, once, and what it deleted is not.
func TestASecondFirebreakIsFollowed(t *testing.T) {
	other := twin.New(t)
	within(t, func(h *house) {
		r := rand.New(rand.NewPCG(1, 9))
		var lock sync.Mutex
		intn := func(n int) int { lock.Lock(); defer lock.Unlock(); return r.IntN(n) }
		s := &second{Twin: other, h: h, turn: make(chan struct{}, 1), fault: func() fault { return none }}
		s.Start(h.t)
		defer s.Stop()
		for p := range 4 {
			s.put("Patient", fmt.Sprint(p+1), "", p)
		}
		s.put("Practitioner", "1", "", 7)
		observation := func(n int) {
			s.put("Observation", fmt.Sprint("o", n), fmt.Sprint(n%4+1), intn(1000))
		}
		for n := range 24 {
			observation(n)
		}
		asked := 0 // the first three faults kill it, however the questions are timed
		s.fault = func() fault {
			switch asked++; {
			case asked <= 12 && asked%4 == 0:
				return killed
			case asked <= 12 || intn(4) > 0:
				return none
			}
			return []fault{tooMany, unavailable, broken, cut, killed}[intn(5)]
		}
		feed := func() *Feed {
			f := h.feed()
			f.Server = peer.Server{Base: twin.Base, Rate: 1000, Via: s, Now: time.Now}
			f.List = time.Hour
			f.Sink = &mortal{Sink: h.pipe, left: 5 + intn(60)}
			return f
		}
		for range 3 {
			h.run(feed(), time.Duration(1+intn(900))*time.Second, func() {
				for range 8 {
					if n := intn(24); intn(4) == 0 {
						s.drop(fmt.Sprint("Observation/o", n))
					} else {
						observation(n)
					}
					time.Sleep(time.Duration(intn(90)) * time.Second)
				}
			})
			if intn(2) == 0 {
				h.close()
				h.open()
			}
		}
		s.fault = func() fault { return none }
		f := feed()
		f.Sink, f.Every = h.pipe, 10*time.Minute
		h.run(f, 2*time.Hour, nil)
		h.same()
		for range 8 { // and from now on by its exports
			observation(intn(24))
		}
		f = feed()
		f.Sink, f.Every, f.Export = h.pipe, 10*time.Minute, "$export"
		h.run(f, time.Hour, nil)
		h.same()
		if s.Kills < 3 {
			t.Errorf("it was killed %d times: the test did not test", s.Kills)
		}
		if strings.Contains(h.log.String(), "Family") {
			t.Error("the log holds what a server wrote")
		}
	})
}
