package fhirapi_test

import (
	"bytes"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"firebreak/internal/pgtest"
	"firebreak/policy"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// counter is what the writers of a test count in.
func counter(value int) string {
	return fmt.Sprintf(`{"resourceType":"Observation","id":"counter","identifier":[{"system":"urn:acc","value":"counter"}],"status":"final","code":{"text":"Count"},"subject":{"reference":"Patient/x"},"valueInteger":%d}`, value)
}

func count(t testing.TB, a answer) int {
	t.Helper()
	n, err := strconv.Atoi(a.want(t, 200).resource(t).Get("valueInteger").Text())
	must(t, err)
	return n
}

// eachNodes runs a test with one node, and with two whose clocks are an hour apart.
func eachNodes(t *testing.T, f func(t *testing.T, nodes []*world)) {
	t.Run("sqlite", func(t *testing.T) { f(t, []*world{newWorld(t)}) })
	t.Run("postgres", func(t *testing.T) {
		dsn := pgtest.DSN(t)
		nodes := []*world{newNode(t, dsn), newNode(t, dsn)}
		nodes[1].later(-time.Hour)
		f(t, nodes)
	})
}

// Many count in one resource, by reading it and writing the version after the one that
// they read, by each way in which a version can be named. What is answered as done is
// counted once, and what is refused leaves nothing.
func TestNoCountIsLost(t *testing.T) {
	t.Parallel()
	eachNodes(t, func(t *testing.T, nodes []*world) {
		ehr := nodes[0].backend()
		nodes[0].do(put(ehr, "/Patient/x", patientX)).want(t, 201)
		nodes[0].do(put(ehr, "/Observation/counter", counter(0))).want(t, 201)
		const writers, each = 8, 5
		var all sync.WaitGroup
		var refused atomic.Int64
		for n := range writers {
			all.Go(func() {
				node := nodes[n%len(nodes)]
				tag, value := "", 0
				for done := 0; done < each; {
					if tag == "" {
						now := node.get(ehr, "/Observation/counter").want(t, 200)
						tag, value = now.Header().Get("ETag"), count(t, now)
					}
					next := counter(value + 1)
					var got answer
					switch n / 2 % 4 {
					case 0:
						got = node.do(put(ehr, "/Observation/counter", next, "If-Match: "+tag))
					case 1:
						got = node.do(put(ehr, "/Observation?identifier=urn:acc%7Ccounter", next, "If-Match: "+tag))
					case 2:
						got = node.do(ask{method: "PATCH", path: "/Observation/counter", token: ehr, headers: []string{"If-Match: " + tag, "Content-Type: application/json-patch+json"},
							body: fmt.Sprintf(`[{"op":"replace","path":"/valueInteger","value":%d}]`, value+1)})
					case 3:
						got = node.do(post(ehr, "", fmt.Sprintf(`{"resourceType":"Bundle","type":"transaction","entry":[
							{"resource":%s,"request":{"method":"PUT","url":"Observation/counter","ifMatch":%q}},
							{"resource":{"resourceType":"Observation","identifier":[{"system":"urn:acc","value":"done"}],"status":"final","code":{"text":"Done"},"subject":{"reference":"Patient/x"}},"request":{"method":"POST","url":"Observation"}}]}`, next, tag)))
					}
					if got.Code != 200 && got.Code != 412 {
						t.Errorf("%d: %d %s", n, got.Code, got.body)
						return
					}
					tag, value = "", value+1
					if got.Code == 412 {
						refused.Add(1)
						time.Sleep(rand.N(3 * time.Millisecond)) // else who reads most often wins most often
						continue
					}
					if done++; n/2%4 == 0 {
						tag = got.Header().Get("ETag") // it goes on from what it made, and says nothing of what others did
					}
				}
			})
		}
		all.Wait()
		for _, node := range nodes {
			if got := count(t, node.get(ehr, "/Observation/counter")); got != writers*each {
				t.Errorf("counted to %d, not %d", got, writers*each)
			}
		}
		if got := nodes[0].get(ehr, "/Observation/counter/_history?_count=500").total(t); got != strconv.Itoa(1+writers*each) {
			t.Errorf("%s versions", got)
		}
		if got := nodes[0].get(ehr, "/Observation?identifier=urn:acc%7Cdone&_total=accurate").total(t); got != strconv.Itoa(2*each) {
			t.Errorf("%s transactions are done, not %d", got, 2*each)
		}
		if refused.Load() == 0 {
			t.Error("none came too late: the test did not test")
		}
		stats, err := nodes[0].record.Stats(t.Context())
		must(t, err)
		if stats.Held != 0 {
			t.Errorf("%d messages are held for an operator", stats.Held)
		}
		before := nodes[0].get(ehr, "/Observation/counter/_history?_count=500")
		for id := range stats.Last { // what was decided when each was applied is kept
			must(t, nodes[0].pipe.Replay(t.Context(), id+1))
		}
		nodes[0].idle()
		if after := nodes[0].get(ehr, "/Observation/counter/_history?_count=500"); !bytes.Equal(after.body, before.body) {
			t.Errorf("applied again, its history is\n%s\nand was\n%s", after.body, before.body)
		}
	})
}

// What another node stores while a write waits for the record, it has not seen: a write
// without a condition, which waits for nobody but the record.
func TestStoredMeanwhile(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	nodes := []*world{newNode(t, dsn), newNode(t, dsn)}
	ehr := nodes[0].backend()
	nodes[0].do(put(ehr, "/Patient/x", patientX)).want(t, 201)
	tag := nodes[0].do(put(ehr, "/Observation/counter", counter(0))).want(t, 201).Header().Get("ETag")
	db, err := sql.Open("pgx", dsn)
	must(t, err)
	defer db.Close()
	tx, err := db.Begin()
	must(t, err)
	_, err = tx.Exec(`SELECT version FROM chart WHERE chart = 'x' FOR UPDATE`)
	must(t, err)
	var all sync.WaitGroup
	for n, write := range []func(){
		func() { nodes[0].do(put(ehr, "/Observation/counter", counter(1000))).want(t, 200) },
		func() { nodes[1].do(put(ehr, "/Observation/counter", counter(1), "If-Match: "+tag)).want(t, 412) },
	} {
		all.Go(write)
		for waiting := 0; waiting <= n; {
			must(t, db.QueryRow(`SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waiting))
		}
	}
	must(t, tx.Rollback())
	all.Wait()
	if got := count(t, nodes[1].get(ehr, "/Observation/counter")); got != 1000 {
		t.Errorf("it is %d", got)
	}
}

// Of what a source writes one after another, without a condition, the last counts, though
// the clock of the node that took it is behind that of the one before, or was set back.
func TestTheLastWriteCounts(t *testing.T) {
	t.Parallel()
	eachNodes(t, func(t *testing.T, nodes []*world) {
		ahead, behind := nodes[0], nodes[len(nodes)-1]
		ehr := ahead.backend()
		ahead.do(put(ehr, "/Patient/x", patientX)).want(t, 201)
		const path, search = "/Observation/counter", "/Observation?identifier=urn:acc%7Ccounter"
		history := func() []byte { return ahead.get(ehr, path+"/_history?_count=500").body }
		value := 0
		for _, row := range []struct {
			name  string
			write func(value int) answer
		}{
			{"update", func(n int) answer { return behind.do(put(ehr, path, counter(n))) }},
			{"conditional update", func(n int) answer { return behind.do(put(ehr, search, counter(n))) }},
			{"transaction", func(n int) answer {
				return behind.do(post(ehr, "", fmt.Sprintf(`{"resourceType":"Bundle","type":"transaction","entry":[{"resource":%s,"request":{"method":"PUT","url":"Observation/counter"}}]}`, counter(n))))
			}},
			{"delete", func(int) answer { return behind.do(ask{method: "DELETE", path: path, token: ehr}) }},
			{"conditional delete", func(int) answer { return behind.do(ask{method: "DELETE", path: search, token: ehr}) }},
		} {
			value += 2
			ahead.later(3 * time.Hour)
			ahead.do(put(ehr, path, counter(value)))
			if ahead == behind {
				behind.later(-2 * time.Hour)
			}
			done := row.write(value + 1)
			if deleted := done.Code == 204; deleted {
				ahead.get(ehr, path).want(t, 410)
			} else if got := count(t, ahead.get(ehr, path)); done.Code != 200 || got != value+1 {
				t.Errorf("%s: answered %d, and it is %d, not %d", row.name, done.Code, got, value+1)
			}
		}
		behind.do(put(ehr, path, counter(1000))).want(t, 201)
		if got := count(t, ahead.get(ehr, path)); got != 1000 {
			t.Errorf("made again after it was deleted, it is %d", got)
		}
		before := history()
		stats, err := ahead.record.Stats(t.Context())
		must(t, err)
		for id := range stats.Last {
			must(t, ahead.pipe.Replay(t.Context(), id+1))
		}
		ahead.idle()
		if after := history(); !bytes.Equal(after, before) {
			t.Errorf("applied again, its history is\n%s\nand was\n%s", after, before)
		}
	})
}

// Who goes on from the version that it made is told that one, though another was faster
// than the answer.
func TestAnsweredWithWhatItMade(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ehr, beside := w.backend(), w.under(policy.Demo())
	w.do(put(ehr, "/Patient/x", patientX)).want(t, 201)
	tag := w.do(put(ehr, "/Observation/counter", counter(0))).want(t, 201).Header().Get("ETag")
	w.then = func() {
		w.then = nil
		w.later(time.Second)
		beside.do(put(ehr, "/Observation/counter", counter(1000))).want(t, 200)
	}
	got := w.do(put(ehr, "/Observation/counter", counter(1), "If-Match: "+tag))
	if count(t, got) != 1 {
		t.Errorf("answered with %d", count(t, got))
	}
	w.do(put(ehr, "/Observation/counter", counter(2), "If-Match: "+got.Header().Get("ETag"))).want(t, 412)
	if made := w.get(ehr, strings.TrimPrefix(got.Header().Get("Location"), base)); count(t, made) != 1 {
		t.Errorf("at its Location is %d", count(t, made))
	}
}

// Of many who would make what is not there, by its id, one does.
func TestOneMakesWhatIsNotThere(t *testing.T) {
	t.Parallel()
	eachNodes(t, func(t *testing.T, nodes []*world) {
		ehr := nodes[0].backend()
		nodes[0].do(put(ehr, "/Patient/x", patientX)).want(t, 201)
		for round := range 6 {
			var made atomic.Int64
			var all sync.WaitGroup
			for n := range 6 {
				all.Go(func() {
					who := "x"
					if n%3 == 1 { // or in another record
						who = fmt.Sprint("y", n)
					}
					got := nodes[n%len(nodes)].do(put(ehr, fmt.Sprintf("/Observation/o%d", round),
						fmt.Sprintf(`{"resourceType":"Observation","id":"o%d","status":"final","code":{"text":"Made"},"subject":{"reference":"Patient/%s"},"valueInteger":%d}`, round, who, n), "If-None-Match: *"))
					if got.Code == 201 {
						made.Add(1)
					} else {
						got.want(t, 412)
					}
				})
			}
			all.Wait()
			if made.Load() != 1 {
				t.Errorf("round %d: %d made it", round, made.Load())
			}
		}
	})
}
