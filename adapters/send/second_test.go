package send

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"firebreak/adapters/peer"
	"firebreak/fhir"
	"firebreak/internal/twin"
)

// second is another Firebreak, to which this one sends. It is killed when its
// faults say so.
type second struct {
	*twin.Twin
	h     *house
	mu    sync.Mutex // one request at a time
	fault func() fault
}

const (
	killedBefore = faults + iota // before the request is read
	killedHalf                   // when it is stored, and nothing else is done
	killedAfter                  // when it is done, before the answer
	allFaults
)

// has is what it has of a patient, in the order in which it came.
func (s *second) has(patient int) []string {
	got := s.Ask(httptest.NewRequest(http.MethodGet, fmt.Sprintf("%s/Communication?patient=s%d&_count=100&_sort=_lastUpdated", twin.Base, patient), nil))
	body, err := io.ReadAll(got.Body)
	s.h.must(err)
	x, err := fhir.Parse(body)
	if err != nil || got.StatusCode != http.StatusOK {
		s.h.t.Errorf("%s %s", got.Status, body)
		return nil
	}
	var all []string
	for e := range x.All("entry.resource") {
		all = append(all, e.At("payload.contentString").Text())
	}
	return all
}

func (s *second) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch f := s.fault(); f {
	case lostBefore:
		return nil, errReset
	case tooMany:
		return answer(429, http.Header{"Retry-After": {"7"}}, ""), nil
	case unavailable:
		return answer(503, nil, ""), nil
	case broken:
		return answer(500, nil, ""), nil
	case killedBefore:
		s.Kill()
		return nil, errReset
	case killedHalf:
		s.Ask(r, s.Halfway)
		s.Kill()
		return nil, errReset
	case lostAfter, killedAfter:
		s.Ask(r)
		if f == killedAfter {
			s.Kill()
		}
		return nil, errReset
	case hangs:
		s.mu.Unlock()
		select {
		case <-r.Context().Done():
		case <-time.After(peer.HeaderTime):
		}
		s.mu.Lock()
		return nil, errReset
	}
	return s.Ask(r), nil
}

// Between two Firebreaks: whatever fails on the way, and whenever either is
// killed, the second has what each patient wrote, once, in the order of writing.
func TestASecondFirebreakHasEachLetterOnce(t *testing.T) {
	const patients, lives = 2, 2
	for seed := range uint64(2) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			other := twin.New(t)
			within(t, func(h *house) {
				r := rand.New(rand.NewPCG(seed, 9))
				var lock sync.Mutex
				intn := func(n int) int { lock.Lock(); defer lock.Unlock(); return r.IntN(n) }
				s := &second{Twin: other, h: h, fault: func() fault { return none }}
				// Every third request meets a fault: the first three are the three ways
				// to be killed, so that each is met however the letters are timed.
				first, asked, calm := r.Perm(int(allFaults-killedBefore)), 0, false
				faulty := func() fault {
					asked++
					switch n := asked / 3; {
					case asked%3 > 0:
						return none
					case n <= len(first):
						return killedBefore + fault(first[n-1])
					case calm:
						return none
					}
					return fault(intn(int(allFaults)))
				}
				s.Start(h.t)
				defer s.Stop()
				for p := range patients {
					s.Put(fmt.Sprintf("Patient/s%d", p), fmt.Sprintf(`{"resourceType":"Patient","id":"s%d","identifier":[{"system":"urn:mrn","value":"N%[1]d"}]}`, p))
				}
				s.fault = faulty
				feed := func() *Feed {
					f := h.feed()
					f.Receiver = &FHIR{Server: peer.Server{Base: twin.Base, Rate: 1000, Via: s, Now: time.Now}}
					return f
				}
				want := h.lives(lives, patients, intn, feed)
				s.mu.Lock()
				calm = true
				s.mu.Unlock()
				h.run(feed(), 5*time.Minute, nil)
				if left := h.undone(); len(left) > 0 {
					t.Errorf("%d letters are left: %+v", len(left), left[0])
				}
				for p := range patients {
					if got := s.has(p); !slices.Equal(got, want[p]) {
						t.Errorf("of patient %d the second has %q, want %q", p, got, want[p])
					}
				}
				// A later version reaches the same resource.
				h.enter(http.MethodPut, "changes", message(1, "first words"))
				h.run(feed(), time.Minute, nil)
				h.enter(http.MethodPut, "changes", message(1, "other words"))
				h.run(feed(), time.Minute, nil)
				if got := s.has(1); slices.Contains(got, "first words") || !slices.Contains(got, "other words") {
					t.Errorf("after a change the second has %q", got)
				}
				if s.Kills < len(first) {
					t.Errorf("it was killed %d times: the test did not test", s.Kills)
				}
			})
		})
	}
}
