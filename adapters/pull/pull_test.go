package pull

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"firebreak/access"
	"firebreak/access/accesstest"
	"firebreak/adapters/peer"
	"firebreak/audit"
	"firebreak/inbox"
	"firebreak/label"
	"firebreak/mapping"
	"firebreak/pipeline"
	"firebreak/policy"
	"firebreak/record"
	"firebreak/search"
)

// house is a record that a feed fills, and a server for it to ask. All of it is
// the real thing but the network, which is in memory so that the clock can be
// the test's.
type house struct {
	t      testing.TB
	up     *upstream
	me     access.Caller // the source itself
	staff  access.Caller // a physician
	dir    string
	record *record.Record
	reader *record.Reader
	pipe   *pipeline.Pipeline
	close  func()
	via    *http.Transport
	log    strings.Builder
}

// within runs f in a house of its own, in a time of its own: there a Sleep takes no
// time, and ends when everybody waits. No other test here sleeps.
func within(t *testing.T, f func(h *house)) {
	me := accesstest.Source(t, "up", "system/*.rs") // outside: its keys are shared
	staff := accesstest.Person(t, access.Physician)
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		h := &house{t: t, me: me, staff: staff, dir: dir, up: newUpstream(time.Now)}
		network := &pipes{ch: make(chan net.Conn), done: make(chan struct{})}
		server := &http.Server{Handler: h.up}
		var serving sync.WaitGroup
		serving.Go(func() { _ = server.Serve(network) })
		h.via = &http.Transport{DialContext: network.dial, ResponseHeaderTimeout: peer.HeaderTime}
		h.open()
		defer func() {
			h.close()
			h.via.CloseIdleConnections()
			server.Close()
			serving.Wait()
			if t.Failed() {
				t.Log(h.log.String())
			}
		}()
		f(h)
	})
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) open() {
	log, err := audit.Open(filepath.Join(h.dir, "audit"), time.Now)
	h.must(err)
	rules, err := label.Default()
	h.must(err)
	h.record, err = record.Open(context.Background(), record.Config{DSN: "sqlite:" + filepath.Join(h.dir, "record.db"), Log: log, Rules: rules, Secret: []byte("a secret of this test"), Logger: slog.New(slog.DiscardHandler)})
	h.must(err)
	p, err := policy.Load(policy.Default())
	h.must(err)
	h.reader = h.record.Reader(p)
	h.pipe = pipeline.New(h.record, mapping.NewKeys([]byte("keys of this test")), rules, pipeline.Config{})
	ctx, stop := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { _ = h.pipe.Run(ctx) })
	h.close = func() {
		stop()
		work.Wait()
		h.must(h.record.Close())
		h.must(log.Close())
	}
}

// feed is a new one, as after a start of the program.
func (h *house) feed() *Feed {
	return &Feed{
		Source: "up", Types: []string{"Patient", "Practitioner", "Observation"},
		Server: peer.Server{Base: h.up.base, Rate: 1000, Via: h.via, Now: time.Now},
		Every:  time.Minute, Overlap: 5 * time.Minute, Compare: 10 * time.Minute, List: 24 * time.Hour, Page: 10,
		Sink: h.pipe, Store: h.record.Asked(), Logger: slog.New(slog.NewTextHandler(&h.log, nil)),
	}
}

// run lets a feed run for a while, in which do is done.
func (h *house) run(f *Feed, long time.Duration, do func()) {
	ctx, stop := context.WithTimeout(context.Background(), long)
	defer stop()
	var work sync.WaitGroup
	work.Go(func() { f.Run(ctx) })
	if do != nil {
		do()
	}
	work.Wait()
}

// same fails when the record does not hold what the upstream has: each resource
// once, with its value, of its patient.
func (h *house) same() {
	h.t.Helper()
	for {
		s, err := h.record.Stats(context.Background())
		h.must(err)
		if s.Pending == 0 {
			if s.Held > 0 {
				held, _ := h.record.Held(context.Background(), 0, 1)
				h.t.Fatalf("%d messages are held: %s", s.Held, held[0].Reason)
			}
			break
		}
		time.Sleep(time.Second)
	}
	want := map[string]string{}
	for key, r := range h.up.all {
		owner := ""
		if r.Owner != "" {
			owner = " of Patient/" + r.Owner
		}
		want[key] = fmt.Sprint(r.Value, owner)
	}
	if diff := cmp.Diff(want, h.has()); diff != "" {
		h.t.Fatalf("what is there, and what the record has:\n%s", diff)
	}
}

// has is what the record shows of the source to itself.
func (h *house) has() map[string]string {
	h.t.Helper()
	got, names := map[string]string{}, map[string]string{}
	for _, typ := range []string{"Patient", "Practitioner", "Observation"} {
		for cursor := ""; ; {
			q, err := search.ParseQuery(typ, url.Values{"_count": {"500"}})
			h.must(err)
			page, err := h.reader.Search(context.Background(), record.Ask{Caller: h.me, Request: "r"}, q, cursor)
			h.must(err)
			for _, m := range page.Matches {
				r := m.Resource()
				key := r.Root().At("identifier.value").Text()
				names[r.Ref().String()] = key
				said := strings.TrimPrefix(r.Root().At("name.family").Text(), "Family")
				if typ == "Observation" {
					said = string(r.Get("valueInteger").Raw()) + " of " + names[r.Root().At("subject.reference").Text()]
					if p := r.Root().At("performer.reference").Text(); h.up.all["Practitioner/1"] != nil && names[p] != "Practitioner/1" {
						h.t.Errorf("%s was performed by %q", key, names[p])
					}
				}
				if _, twice := got[key]; twice {
					h.t.Errorf("%s is there twice", key)
				}
				got[key] = said
			}
			if cursor = page.Next; cursor == "" {
				break
			}
		}
	}
	return got
}

func (h *house) fill() {
	for p := range 6 {
		h.up.put("Patient", fmt.Sprint(p+1), "", p)
	}
	h.up.put("Practitioner", "1", "", 7)
	for o := range 40 {
		h.up.put("Observation", fmt.Sprint(o+1), fmt.Sprint(o%6+1), o)
	}
}

// pipes is a network of one listener, in memory.
type pipes struct {
	ch   chan net.Conn
	done chan struct{}
	once sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.ch:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
func (p *pipes) dial(ctx context.Context, _, address string) (net.Conn, error) {
	if address != "127.0.0.1:80" {
		panic("another origin was asked: " + address)
	}
	here, there := net.Pipe()
	select {
	case p.ch <- there:
		return here, nil
	case <-p.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func TestEverythingIsTakenAndFollowed(t *testing.T) {
	for name, set := range map[string]func(*upstream){
		"a server that keeps a history": func(u *upstream) {},
		"one that keeps none":           func(u *upstream) { u.deletes = false },
		"one that does not count":       func(u *upstream) { u.blind, u.deletes = true, false },
		"a clock of whole seconds":      func(u *upstream) { u.sloppy = time.Second },
		"what shows late":               func(u *upstream) { u.late = time.Minute },
		"many pages":                    func(u *upstream) { u.page = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			within(t, func(h *house) {
				set(h.up)
				h.fill()
				f := h.feed()
				h.run(f, 10*time.Minute, nil)
				h.same()
				h.run(f, 30*time.Minute, func() {
					r := rand.New(rand.NewPCG(1, 2))
					for range 50 {
						h.up.change(r, 3)
						time.Sleep(time.Duration(r.IntN(20)) * time.Second)
					}
				})
				f.Every = time.Hour
				h.run(f, 25*time.Hour, nil) // a listing at the latest finds what was deleted
				h.same()
			})
		})
	}
}

// seeds is how many worlds of faults there are.
const seeds = uint64(6)

func TestFaultsLoseAndDoubleNothing(t *testing.T) {
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			within(t, func(h *house) {
				r := rand.New(rand.NewPCG(seed, 77))
				var lock sync.Mutex
				intn := func(n int) int { lock.Lock(); defer lock.Unlock(); return r.IntN(n) }
				h.up.deletes, h.up.blind, h.up.secure = intn(2) == 0, intn(4) == 0, intn(2) == 0
				h.up.page = 2 + intn(9)
				if intn(2) == 0 {
					h.up.sloppy = time.Second
				}
				export := intn(3) == 0
				h.fill()
				h.up.fault = func() fault {
					if intn(4) > 0 {
						return none
					}
					return fault(intn(int(faults)))
				}
				feed := func() *Feed {
					f := h.feed()
					if h.up.secure {
						f.Server.Auth = &peer.Auth{ClientID: "firebreak", Key: privateKey(t), Types: f.Types}
					}
					if export {
						f.Export, f.Every = "$export", 5*time.Minute
					}
					f.Sink = &mortal{Sink: h.pipe, left: 5 + intn(60)}
					return f
				}
				for range 8 { // lives, each ended at some moment
					h.run(feed(), time.Duration(1+intn(1800))*time.Second, func() {
						for range 10 {
							h.up.change(rand.New(rand.NewPCG(seed, uint64(intn(1000)))), 1+intn(5))
							time.Sleep(time.Duration(intn(90)) * time.Second)
						}
					})
					if intn(3) == 0 {
						h.close()
						h.open()
					}
				}
				h.up.mu.Lock()
				h.up.fault = func() fault { return none }
				h.up.mu.Unlock()
				f := feed()
				f.Sink, f.Every = h.pipe, time.Hour
				h.run(f, 26*time.Hour, nil)
				h.same()
				if strings.Contains(h.log.String(), "Family") {
					t.Error("the log holds what a server wrote")
				}
			})
		})
	}
}

// mortal is an inbox that dies in the middle of a page.
type mortal struct {
	inbox.Sink
	mu   sync.Mutex
	left int
}

func (m *mortal) Put(ctx context.Context, x inbox.Message) (inbox.Receipt, error) {
	m.mu.Lock()
	m.left--
	dead := m.left == 0
	if dead {
		m.left = 40
	}
	m.mu.Unlock()
	if dead {
		return inbox.Receipt{}, errors.New("disk full")
	}
	return m.Sink.Put(ctx, x)
}
