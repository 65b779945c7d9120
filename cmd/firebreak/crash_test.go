package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"firebreak/demo"
	"firebreak/demo/demotest"
)

// The program is killed 50 times at random moments, starting up, under load and
// catching up, while senders send and an app reads. In the end everything that
// was acknowledged is visible through the API, once; what was answered is in
// the audit log, whose chain holds.
func TestKilledUnderLoad(t *testing.T) {
	const instances, kills = 2, 25
	binary(t)
	for i := range instances {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			c := &crash{t: t, data: t.TempDir(), random: rand.New(rand.NewPCG(seed, 0)), acknowledged: map[int]bool{}}
			for range kills {
				c.life()
			}
			c.settle()
		})
	}
}

// crash is one data folder, and what its senders and readers were told.
type crash struct {
	t      *testing.T
	data   string
	random *rand.Rand

	mu           sync.Mutex
	next         int          // number of the next new message
	again        []int        // sent, and no answer came: to be sent again
	acknowledged map[int]bool // by number
	answers      []string     // X-Request-Id of every answer read whole
}

const (
	crashPatients = 7
	unmappable    = 40 // each so many'th message names no patient, and is held
)

// oru is message n: one result, that is its number.
func oru(n int) string {
	mrn := fmt.Sprintf("C%04d", n%crashPatients)
	if n%unmappable == 0 {
		mrn = ""
	}
	return fmt.Sprintf("MSH|^~\\&|LAB|GENERAL|||20260301120000||ORU^R01|M%d|P|2.5.1\r"+
		"PID|1||%s||Test^Crash%d||19700101|F\r"+
		"OBR|1|P-%d|F-%d|2951-2^Sodium^LN|||20260301120000|||||||||||||||20260301120000|||F\r"+
		"OBX|1|NM|2951-2^Sodium^LN||%d|mmol/L|||||F|||20260301120000\r", n, mrn, n%crashPatients, n, n, n)
}

func (c *crash) start() *demotest.Process {
	os.Remove(filepath.Join(c.data, "demo.json"))
	return launch(c.t, "demo", "--empty", "--listen", "127.0.0.1:0", "--mllp", "127.0.0.1:0", "--data", c.data)
}

// life is one start, load, and kill.
func (c *crash) life() {
	p := c.start()
	if c.random.IntN(5) == 0 { // while it starts
		select {
		case <-time.After(time.Duration(c.random.Int64N(int64(400 * time.Millisecond)))):
		case <-p.Ended:
			c.t.Fatalf("it ended by itself: %s", p.Stderr.String())
		}
		p.Kill()
		return
	}
	info, ready := p.Info(c.t, c.data)
	if !ready {
		c.t.Fatalf("it did not start: %s", p.Stderr.String())
	}
	ctx, cancel := context.WithCancel(c.t.Context())
	var work sync.WaitGroup
	for range 4 {
		work.Go(func() { c.send(ctx, info.MLLP) })
	}
	work.Go(func() { c.read(ctx, info) })
	select {
	case <-time.After(time.Duration(c.random.Int64N(int64(400 * time.Millisecond)))):
	case <-p.Ended:
		c.t.Errorf("it ended by itself: %s", p.Stderr.String())
	}
	p.Kill()
	cancel()
	work.Wait()
	if strings.Contains(p.Stderr.String(), "panic") {
		c.t.Errorf("it panicked: %s", p.Stderr.String())
	}
}

// take gives the number to send next.
func (c *crash) take() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.again); n > 0 {
		x := c.again[n-1]
		c.again = c.again[:n-1]
		return x
	}
	c.next++
	return c.next
}

func (c *crash) outcome(n int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.acknowledged[n] = true
	} else {
		c.again = append(c.again, n)
	}
}

// send sends on one connection until it breaks.
func (c *crash) send(ctx context.Context, address string) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	r := bufio.NewReader(conn)
	for {
		n := c.take()
		err := exchange(conn, r, n)
		c.outcome(n, err)
		if err != nil {
			return
		}
	}
}

// exchange sends message n and waits for a positive answer that names it.
func exchange(conn net.Conn, r *bufio.Reader, n int) error {
	if _, err := fmt.Fprintf(conn, "\x0b%s\x1c\r", oru(n)); err != nil {
		return err
	}
	answer, err := r.ReadString('\x1c')
	if err != nil {
		return err
	}
	if _, err := r.Discard(1); err != nil {
		return err
	}
	if !strings.Contains(answer, fmt.Sprintf("\rMSA|AA|M%d\r", n)) && !strings.Contains(answer, fmt.Sprintf("\rMSA|AA|M%d|", n)) {
		return errors.New("the answer is not a positive one to the message")
	}
	return nil
}

// read reads patients' results until the program is gone.
func (c *crash) read(ctx context.Context, info demo.Info) {
	app, err := demotest.Backend(ctx, info)
	if err != nil {
		return
	}
	defer app.Close()
	for i := 0; ; i++ {
		answer, err := app.Get(ctx, fmt.Sprintf("/Patient?identifier=C%04d&_revinclude=Observation:subject", i%crashPatients))
		if err != nil {
			return
		}
		if answer.Status == http.StatusOK {
			c.mu.Lock()
			c.answers = append(c.answers, answer.Header.Get("X-Request-Id"))
			c.mu.Unlock()
		}
	}
}

// settle starts a last time, sends again what had no answer, and takes stock.
func (c *crash) settle() {
	t := c.t
	p := c.start()
	info, ready := p.Info(t, c.data)
	if !ready {
		t.Fatalf("it did not start: %s", p.Stderr.String())
	}
	before := len(c.acknowledged)
	conn, err := net.Dial("tcp", info.MLLP)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for r := bufio.NewReader(conn); len(c.again) > 0; {
		n := c.take()
		if err := exchange(conn, r, n); err != nil {
			t.Fatal(err)
		}
		c.outcome(n, nil)
	}
	if len(c.acknowledged) != c.next {
		t.Fatalf("the ledger itself is wrong: %d of %d", len(c.acknowledged), c.next)
	}
	held := 0
	for n := range c.acknowledged {
		if n%unmappable == 0 {
			held++
		}
	}
	var inbox demotest.Metrics
	if !p.Poll(t, "the inbox to be empty", func() bool {
		inbox = demotest.Scrape(t, info.Metrics)
		return inbox["firebreak_inbox_pending"] == 0
	}) {
		t.Fatalf("it ended: %s", p.Stderr.String())
	}
	if inbox["firebreak_inbox_held"] != float64(held) || inbox["firebreak_inbox_messages_total"] < float64(c.next) {
		t.Errorf("the inbox has %v messages and holds %v, want %d and %d", inbox["firebreak_inbox_messages_total"], inbox["firebreak_inbox_held"], c.next, held)
	}

	app, err := demotest.Backend(t.Context(), info)
	if err != nil {
		t.Fatal(err)
	}
	defer app.Close()
	seen := map[int]int{}
	for patient := range crashPatients {
		found, _, err := app.Search(t.Context(), fmt.Sprintf("/Patient?identifier=C%04d", patient))
		if err != nil || len(found) != 1 {
			t.Fatalf("patient %d was found %d times: %v", patient, len(found), err)
		}
		results, _, err := app.Search(t.Context(), "/Observation?_count=200&patient="+found[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range results {
			n, err := strconv.Atoi(fmt.Sprint(o.Value["valueQuantity"].(map[string]any)["value"]))
			if err != nil || n%crashPatients != patient {
				t.Errorf("patient %d has result %d: %v", patient, n, err)
			}
			seen[n]++
		}
	}
	lost := 0
	for n := range c.acknowledged {
		want := 1
		if n%unmappable == 0 {
			want = 0
		}
		if seen[n] != want {
			lost++
			t.Errorf("result %d is there %d times, want %d", n, seen[n], want)
		}
		delete(seen, n)
		if lost > 10 {
			break
		}
	}
	if len(seen) > 0 {
		t.Errorf("%d results come from nowhere", len(seen))
	}
	app.Close()
	if code := p.Terminate(); code != 0 {
		t.Errorf("asked to stop it ended with %d: %s", code, p.Stderr.String())
	}
	c.audited()
	t.Logf("%d messages, %d of them acknowledged at once, %d held, %d answers read", c.next, before, held, len(c.answers))
	if before == 0 || len(c.answers) == 0 {
		t.Error("there was no load")
	}
}

// audited holds the log against the answers that were read.
func (c *crash) audited() {
	dir := filepath.Join(c.data, "audit")
	if out, err := exec.Command(binary(c.t), "audit", "verify", dir).CombinedOutput(); err != nil {
		c.t.Errorf("audit verify: %v: %s", err, out)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil {
		c.t.Fatal(err)
	}
	var log bytes.Buffer
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			c.t.Fatal(err)
		}
		log.Write(b)
	}
	for _, id := range c.answers {
		if !bytes.Contains(log.Bytes(), []byte(id)) {
			c.t.Errorf("the answer to request %s left, and the audit log has no entry of it", id)
		}
	}
}
