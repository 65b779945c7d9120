package pipeline

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"firebreak/access/accesstest"
	"firebreak/audit"
	"firebreak/fhir"
	"firebreak/inbox"
	"firebreak/label"
	"firebreak/mapping"
	"firebreak/policy"
	"firebreak/record"
)

// The crash test's child is this test binary, told so by its environment: it
// takes messages in and prints the number of each one it would acknowledge,
// until it is killed.
const (
	crashDir   = "FIREBREAK_CRASH_DIR"
	crashFrom  = "FIREBREAK_CRASH_FROM"
	crashLooks = "FIREBREAK_CRASH_LOOKS" // it is sent creates
	kills      = 50
	patients   = 7
)

// oru is result n, a message of its own about one of a few patients.
func oru(n int) []byte {
	mrn := fmt.Sprintf("90000%d", n%patients)
	return fmt.Appendf(nil, "MSH|^~\\&|LAB|SFAC|RAPP|RFAC|20260301120000||ORU^R01|%d|T|2.3\r"+
		"PID|1|%s^^^SIMULATOR MRN^MRN|%s^^^SIMULATOR MRN^MRN||Family%d^Given||19700101|M\r"+
		"ORC|RE|P-%d|F-%d||CM||||20260301120000\r"+
		"OBR|1|P-%d|F-%d|24326-1^Electrolytes^LN||20260301120000|20260301120000|||||||20260301120000||||||||20260301120000|||F||1\r"+
		"OBX|1|NM|2951-2^Sodium^LN||%d|mmol/L|135 - 145||||F|||20260301120000||\r",
		n, mrn, mrn, n%patients, n, n, n, n, n)
}

func message(n int) inbox.Message {
	return inbox.Message{Source: "lab", Kind: inbox.HL7v2, ControlID: strconv.Itoa(n), Received: time.Now(), Body: oru(n)}
}

func crashChild(dir string) {
	fail := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	ctx := context.Background()
	log, err := audit.Open(filepath.Join(dir, "audit"), nil)
	fail(err)
	rules, err := label.Default()
	fail(err)
	r, err := record.Open(ctx, record.Config{DSN: filepath.Join(dir, "record.db"), Log: log, Rules: rules, Secret: []byte("a secret of this test")})
	fail(err)
	p := New(r, mapping.NewKeys([]byte("keys of this test")), rules, Config{})
	go p.Run(ctx)
	from, err := strconv.Atoi(os.Getenv(crashFrom))
	fail(err)
	var next atomic.Int64
	next.Store(int64(from))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				n := int(next.Add(1))
				m := message(n)
				if os.Getenv(crashLooks) != "" {
					m = creates(n)
				}
				receipt, err := p.Put(ctx, m)
				fail(err)
				if m.Kind == inbox.FHIR {
					fail(p.Applied(ctx, receipt.ID))
				}
				fail(log.Append(ctx, audit.Event{Action: audit.Write, Request: strconv.Itoa(n)}))
				os.Stdout.WriteString(strconv.Itoa(n) + "\n") // the acknowledgement
			}
		})
	}
	wg.Wait()
}

// Killed at any moment under load, 50 times: everything acknowledged is there,
// once, and in the chart of its patient; and so is every audit entry.
func TestKilledAtAnyMomentNothingAcknowledgedIsLost(t *testing.T) {
	dir := t.TempDir()
	acknowledged := map[int]bool{}
	last := 0
	for round := range kills {
		child := exec.Command(os.Args[0], "-test.run=^$")
		// Some are sent again, as a sender does that got no answer.
		child.Env = append(os.Environ(), crashDir+"="+dir, crashFrom+"="+strconv.Itoa(max(0, last-20)))
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		must(t, err)
		must(t, child.Start())
		live := rand.N(100) // acknowledgements to wait for: from none to some groups
		var killed sync.Once
		kill := func() { killed.Do(func() { child.Process.Kill() }) }
		seen := 0
		if live == 0 {
			time.AfterFunc(rand.N(100*time.Millisecond), kill) // perhaps while it opens
		}
		for lines := bufio.NewScanner(out); lines.Scan(); {
			n, err := strconv.Atoi(lines.Text())
			if err != nil {
				continue // cut off by the kill: nobody got it
			}
			acknowledged[n] = true
			last = max(last, n)
			if seen++; seen == live {
				time.AfterFunc(rand.N(5*time.Millisecond), kill)
			}
		}
		if err := child.Wait(); err == nil || child.ProcessState.ExitCode() > 0 {
			t.Fatalf("round %d: the child ended by itself: %v", round, err)
		}
	}

	log, err := audit.Open(filepath.Join(dir, "audit"), nil)
	must(t, err)
	defer log.Close()
	rules, err := label.Default()
	must(t, err)
	r, err := record.Open(ctx, record.Config{DSN: filepath.Join(dir, "record.db"), Log: log, Rules: rules, Secret: []byte("a secret of this test")})
	must(t, err)
	defer r.Close()
	keys := mapping.NewKeys([]byte("keys of this test"))
	p := New(r, keys, rules, Config{})
	running, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { must(t, p.Run(running)) })
	defer func() { cancel(); wg.Wait() }()

	ids := map[inbox.ID]int{}
	var mu sync.Mutex // guards ids
	var checks sync.WaitGroup
	for n := range acknowledged {
		checks.Go(func() {
			receipt, err := p.Put(ctx, message(n))
			if err != nil {
				t.Error(err)
				return
			}
			if !receipt.Duplicate {
				t.Errorf("message %d was acknowledged and is not there", n)
			}
			if err := p.Applied(ctx, receipt.ID); err != nil {
				t.Errorf("message %d: %v", n, err)
			}
			mu.Lock()
			defer mu.Unlock()
			if other, ok := ids[receipt.ID]; ok {
				t.Errorf("messages %d and %d are one", n, other)
			}
			ids[receipt.ID] = n
		})
	}
	checks.Wait()
	rule, err := policy.Load(policy.Demo())
	must(t, err)
	reader := r.Reader(rule)
	ask := record.Ask{Caller: accesstest.Client(t, "", "system/*.rs")}
	found := map[int]int{}
	for i := range patients {
		id, err := mapping.PatientKey(keys, message(i))
		must(t, err)
		v, err := reader.Chart(ctx, ask, fhir.Ref{Type: "Patient", ID: id})
		must(t, err)
		for _, o := range v.Of("Observation") {
			n, err := strconv.Atoi(o.Resource().Get("valueQuantity").Get("value").Text())
			must(t, err)
			found[n]++
			if n%patients != i {
				t.Errorf("result %d is in the chart of patient %d", n, i)
			}
		}
	}
	for n := range acknowledged {
		if found[n] != 1 {
			t.Errorf("result %d is there %d times", n, found[n])
		}
	}
	for n, times := range found {
		if times != 1 {
			t.Errorf("result %d is there %d times", n, times)
		}
	}
	if len(acknowledged) < kills {
		t.Errorf("only %d messages were acknowledged: the test did not test", len(acknowledged))
	}
	entries, err := audit.Verify(filepath.Join(dir, "audit"))
	if err != nil || entries < int64(len(acknowledged)) {
		t.Errorf("%d audit entries for %d acknowledgements, %v", entries, len(acknowledged), err)
	}
	t.Logf("%d messages acknowledged in %d lives", len(acknowledged), kills)
}
