package pipeline

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"firebreak/adapters/rest"
	"firebreak/inbox"
	"firebreak/record"
)

// looks is a push that leaves something to be found, as a source sends it when it
// tries again: under another request id, with other ids drawn for it.
func looks(i rest.Interaction) inbox.Message {
	i.Request, i.Looks = rand.Text(), true
	if plan, err := i.Plan(); err == nil {
		for range plan.Changes {
			i.Assigned = append(i.Assigned, strings.ToLower(rand.Text()))
		}
	}
	return inbox.Message{Source: "portal", Kind: inbox.FHIR, ControlID: i.Request, Received: time.Now(), Body: i.Encode()}
}

func person(number int) string {
	return fmt.Sprintf(`{"resourceType":"Patient","identifier":[{"system":"urn:mrn","value":"%d"}],"name":[{"family":"Family%[1]d"}],"birthDate":"1970-01-01"}`, number)
}

// creates is a Patient and a result of theirs, each to be made where it is not there.
func creates(n int) inbox.Message {
	return looks(rest.Interaction{Method: http.MethodPost, Resource: fmt.Appendf(nil, `{"resourceType":"Bundle","type":"transaction","entry":[
		{"fullUrl":"urn:uuid:1","resource":%s,"request":{"method":"POST","url":"Patient","ifNoneExist":"identifier=urn:mrn|%d"}},
		{"resource":{"resourceType":"Observation","identifier":[{"value":"acc-%d"}],"status":"final","code":{"text":"Sodium"},"subject":{"reference":"urn:uuid:1"}},"request":{"method":"POST","url":"Observation","ifNoneExist":"identifier=acc-%[3]d"}}]}`,
		person(n%patients), n%patients, n)})
}

// one is the id of the one resource that matches; it fails when there is none or
// more.
func one(t *testing.T, s *system, typ, query string) string {
	t.Helper()
	m := looks(rest.Interaction{Method: http.MethodPut, Path: typ + "?" + query, Resource: []byte(`{"resourceType":"` + typ + `"}`)})
	found, _, err := s.Queue().Look(ctx, record.Stored{Message: m})
	if err != nil || len(found) != 1 || found[0] == "" {
		t.Errorf("%s?%s: found %q: %v", typ, query, found, err)
		return ""
	}
	return found[0]
}

// Of many that would create the same at once, on one node or two, one does, and
// all mean what it made.
func TestManyLookForTheSameAtOnce(t *testing.T) {
	databases(t, func(t *testing.T, dsn string) {
		nodes := []*system{start(t, dsn, nil)}
		if nodes[0].Postgres() {
			nodes = append(nodes, start(t, dsn, nil))
		}
		var all sync.WaitGroup
		var mu sync.Mutex
		meant := map[int][]string{}
		for n := range 60 {
			all.Go(func() {
				node, who := nodes[n%len(nodes)], n/2%5
				m := looks(rest.Interaction{Method: http.MethodPost, Path: "Patient", None: fmt.Sprintf("identifier=urn:mrn|%d", who), Resource: []byte(person(who))})
				switch n / 10 % 3 {
				case 1:
					m = looks(rest.Interaction{Method: http.MethodPut, Path: fmt.Sprintf("Patient?identifier=%d", who), Resource: []byte(person(who))})
				case 2:
					m = creates(7*n + who)
				}
				receipt, err := node.Put(ctx, m)
				if err == nil {
					err = node.Applied(ctx, receipt.ID)
				}
				if err != nil {
					t.Error(err)
					return
				}
				stored, err := node.Queue().Message(ctx, receipt.ID)
				if err != nil {
					t.Error(err)
					return
				}
				i, err := rest.Decode(stored.Body)
				if err != nil || len(stored.Found) == 0 {
					t.Errorf("message %d found %q: %v", receipt.ID, stored.Found, err)
					return
				}
				id := stored.Found[0]
				if id == "" {
					id = i.Assigned[0]
				}
				mu.Lock()
				defer mu.Unlock()
				meant[who] = append(meant[who], id)
			})
		}
		all.Wait()
		for who, ids := range meant {
			id := one(t, nodes[0], "Patient", fmt.Sprintf("identifier=urn:mrn|%d", who))
			if slices.ContainsFunc(ids, func(other string) bool { return other != id }) {
				t.Errorf("of %d there is %s, meant were %v", who, id, ids)
			}
		}
	})
}

// A source tries again whatever was not answered, and the process is killed at any
// moment: each thing is there once.
func TestKilledBetweenLookingAndCreating(t *testing.T) {
	dir := t.TempDir()
	answered, last := map[int]bool{}, 0
	for range 6 {
		child := exec.Command(os.Args[0], "-test.run=^$")
		child.Env = append(os.Environ(), crashDir+"="+dir, crashLooks+"=1", crashFrom+"="+strconv.Itoa(max(0, last-20)))
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		must(t, err)
		must(t, child.Start())
		live, seen := 1+mathrand.N(40), 0
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if n, err := strconv.Atoi(lines.Text()); err == nil {
				answered[n], last = true, max(last, n)
				if seen++; seen == live {
					time.AfterFunc(mathrand.N(5*time.Millisecond), func() { child.Process.Kill() })
				}
			}
		}
		if err := child.Wait(); err == nil || child.ProcessState.ExitCode() > 0 {
			t.Fatalf("the child ended by itself: %v", err)
		}
	}
	s := start(t, filepath.Join(dir, "record.db"), nil)
	for n := range last {
		m := creates(n) // whatever is left to do is done before or after; it makes no difference
		receipt, err := s.Put(ctx, m)
		must(t, err)
		must(t, s.Applied(ctx, receipt.ID))
	}
	for n := range answered {
		one(t, s, "Observation", fmt.Sprintf("identifier=acc-%d", n))
	}
	for n := range patients {
		one(t, s, "Patient", fmt.Sprintf("identifier=urn:mrn|%d", n))
	}
	if len(answered) < 10 {
		t.Errorf("only %d were answered: the test did not test", len(answered))
	}
}

// What a message leaves to be found, and why it cannot be applied.
func TestWhatCannotBeFoundIsHeld(t *testing.T) {
	s := start(t, filepath.Join(t.TempDir(), "record.db"), nil)
	for n, row := range []struct {
		i    rest.Interaction
		want string
	}{
		{rest.Interaction{Method: http.MethodPost, Path: "Patient", Assigned: []string{"a"}, Resource: []byte(person(1))}, ""},
		{rest.Interaction{Method: http.MethodPost, Path: "Patient", Assigned: []string{"b"}, Resource: []byte(person(1))}, ""},
		{rest.Interaction{Method: http.MethodPost, Path: "Patient", None: "identifier=1", Looks: true, Assigned: []string{"c"}, Resource: []byte(person(1))}, "http.If-None-Exist: More than one resource that this source sent matches."},
		{rest.Interaction{Method: http.MethodDelete, Path: "Patient?identifier=2", Looks: true}, ""},
		{rest.Interaction{Method: http.MethodPost, Path: "Observation", Assigned: []string{"d"}, Looks: true, Resource: []byte(`{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient?identifier=9"}}`)}, "Observation: A conditional reference names nothing that this source sent."},
	} {
		receipt, err := s.Put(ctx, inbox.Message{Source: "portal", Kind: inbox.FHIR, ControlID: strconv.Itoa(n), Received: time.Now(), Body: row.i.Encode()})
		must(t, err)
		err = s.Applied(ctx, receipt.ID)
		held, ok := errors.AsType[*inbox.HeldError](err)
		if (err == nil) != (row.want == "") || ok && held.Reason != row.want {
			t.Errorf("push %d: %v, want %q", n, err, row.want)
		}
	}
	m := looks(rest.Interaction{Method: http.MethodPost, Path: "Patient", None: "identifier=7", Resource: []byte(person(7))})
	if became, reason := s.Try(m); len(became) != 1 || became[0].Type != "Patient" || reason != "" {
		t.Errorf("tried, it becomes %v, %q", became, reason)
	}
}
