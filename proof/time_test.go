package proof_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"firebreak/fhir"
	"firebreak/inbox"
	"firebreak/internal/pgtest"
)

// TestRelabelling: while new rules judge what is stored, and after, a gateway
// with secrets answers as one without; and what is harmless is afterwards as it
// was before: same versions, dates, ETags, history.
func TestRelabelling(t *testing.T) {
	t.Setenv("FIREBREAK_PROOF_DB", "") // the rows are made older in a file
	x := newTrial(t, create(5, 0), [2]side{without, with}, [2]string{})
	for _, e := range x.world.events {
		x.tell(e)
	}
	x.traffic()
	x.harvest(true)
	last := len(x.world.events) - 1
	backend := x.asker.all[7]
	var before []answer
	var reads []question
	for _, ref := range x.asker.known.refs {
		if !strings.Contains(ref, ":") {
			reads = append(reads, question{who: backend, method: http.MethodGet, target: "/fhir/" + ref + "/_history", at: noon})
		}
	}
	if len(reads) < 20 {
		t.Fatalf("only %d things are harmless", len(reads))
	}
	for _, q := range reads {
		before = append(before, x.house[1].under(t, x.rules[0]).ask(q))
	}
	// Judged by older rules: everything; what older rules knew as something else. The second
	// time without the texts of the messages.
	for _, rows := range []string{`1 = 1`, `labels <> ''`} {
		for _, h := range x.house {
			if err := h.stop(); err != nil {
				t.Fatal(err)
			}
			age(t, strings.TrimPrefix(h.dsn, "sqlite:"), rows)
			h.start(t)
		}
		x.interrogate(last, 150)
		if x.failure != nil {
			t.Fatalf("before what is stored was judged anew: %v", x.failure)
		}
		for _, h := range x.house {
			if rows != `1 = 1` {
				if n, err := h.record.Purge(context.Background(), func(string) time.Duration { return time.Nanosecond }); err != nil || n == 0 {
					t.Fatalf("%d messages are purged: %v", n, err)
				}
			}
			n, err := h.record.Relabel(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				t.Error("nothing was judged anew")
			}
		}
		x.interrogate(last, 150)
		if x.failure != nil {
			t.Fatalf("after what is stored was judged anew: %v", x.failure)
		}
		for i, q := range reads {
			if why := differ(before[i], x.house[1].under(t, x.rules[0]).ask(q)); why != "" {
				t.Fatalf("after what is stored was judged anew, %s is not as it was: %s", q, why)
			}
		}
	}
	x.close()
}

// age makes rows be judged by rules of long ago, which found nothing.
func age(t *testing.T, file, where string) {
	t.Helper()
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, text := range []string{`UPDATE version SET rules = 'long ago', labels = '' WHERE ` + where, `DELETE FROM setting WHERE name = 'relabelled'`} {
		if _, err := db.Exec(text); err != nil {
			t.Fatal(err)
		}
	}
}

// TestMonotone: withholding one more label adds nothing to any answer about the
// rest. Where that takes the newest state of something away, the one before is
// shown as the current one: one that the history showed already. And where it takes
// a document away, what that replaced is as it was. That somebody joined two records at
// the gateway is left out: where one of them goes, the other stands alone again.
func TestMonotone(t *testing.T) {
	t.Parallel()
	shipped := policies(t)[0]
	const list = `["hiv", "reproductive", "cancer", "part2", "psychotherapy", "masked"]`
	for seed := range uint64(3) {
		w := create(seed, 0)
		w.events = slices.DeleteFunc(w.events, func(e *event) bool { return e.kind == inbox.Joined })
		x := newTrial(t, w, [2]side{with, with}, [2]string{})
		replaced := map[fhir.Ref]string{}
		for _, e := range x.world.events {
			x.tell(e)
			if m, ok := e.message(with); ok && e.replaced[with] {
				x.house[1].stated(t, m, &event{what: e.what}, with, replaced)
			}
		}
		x.harvest(false)
		h := x.house[1]
		looser := policies(t)[3] // nothing withheld
		for _, withheld := range []string{`["hiv"]`, `["hiv", "reproductive"]`, `["hiv", "reproductive", "cancer"]`, list, `["*"]`} {
			stricter := policyFile{withheld, []byte(strings.ReplaceAll(string(shipped.text), list, withheld))}
			for _, who := range []*audience{x.asker.all[0], x.asker.all[3], x.asker.all[7]} {
				for _, ref := range append(x.asker.known.refs, x.asker.hidden.refs...) {
					if at, _ := fhir.ParseRef(ref); replaced[at] != "" && at.Type != "Patient" {
						continue
					}
					for _, tail := range []string{"", "/_history"} {
						q := question{who: who, method: http.MethodGet, target: "/fhir/" + ref + tail, at: noon, header: http.Header{"Accept": {"application/fhir+json"}}}
						more, less := h.under(t, looser).ask(q), h.under(t, stricter).ask(q)
						if less.status != http.StatusOK {
							continue
						}
						s := added(more.body, less.body)
						if s != "" && tail == "" {
							q.target += "/_history"
							for _, version := range versionsIn(h.under(t, looser).ask(q).body) {
								if added(version, less.body) == "" {
									s = ""
								}
							}
						}
						if more.status != http.StatusOK || s != "" {
							t.Fatalf("seed %d, %s: with %s withheld it tells more than with %s: %s", seed, q, stricter.name, looser.name, s)
						}
					}
				}
			}
			looser = stricter
		}
		x.close()
	}
}

// versionsIn are the resources of a history.
func versionsIn(body []byte) [][]byte {
	var b struct {
		Entry []struct {
			Resource json.RawMessage `json:"resource"`
		} `json:"entry"`
	}
	if json.Unmarshal(body, &b) != nil {
		return nil
	}
	var all [][]byte
	for _, e := range b.Entry {
		all = append(all, e.Resource)
	}
	return all
}

// added is something that less says and more does not, leaving out what the
// gateway says of its answer.
func added(more, less []byte) string {
	var a, b any
	if json.Unmarshal(more, &a) != nil || json.Unmarshal(less, &b) != nil {
		return "no JSON"
	}
	have := map[string]int{}
	said("", a, func(s string) { have[s]++ })
	extra := ""
	said("", b, func(s string) {
		if have[s]--; have[s] < 0 && extra == "" {
			extra = s
		}
	})
	return extra
}

// said gives every leaf with its path; where it stands in an array is left out.
func said(path string, v any, f func(string)) {
	switch v := v.(type) {
	case map[string]any:
		for name, x := range v {
			if name == "meta" || name == "total" || name == "response" || name == "link" && v["resourceType"] == "Bundle" {
				continue
			}
			said(path+"."+name, x, f)
		}
	case []any:
		for _, x := range v {
			said(path, x, f)
		}
	default:
		f(path + "=" + fmt.Sprint(v))
	}
}

// TestOnPostgres: the other database keeps the promise too.
func TestOnPostgres(t *testing.T) {
	t.Parallel()
	seeds, questions := size(t, 32)
	for _, seed := range seeds {
		x := newTrial(t, create(seed, 0), [2]side{without, with}, [2]string{pgtest.DSN(t), pgtest.DSN(t)})
		x.run(min(questions, 600))
		x.close()
		if x.failure != nil {
			t.Fatal(x.failure)
		}
	}
}
