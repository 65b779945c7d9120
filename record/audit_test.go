package record_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"firebreak/audit"
	"firebreak/label"
	"firebreak/record"
)

func TestOpenRefusesToRunWithoutAudit(t *testing.T) {
	rules, err := label.Default()
	must(t, err)
	if _, err := record.Open(ctx, record.Config{DSN: filepath.Join(t.TempDir(), "x.db"), Rules: rules}); err == nil {
		t.Error("a record without an audit log was opened")
	}
}

// Every read and every refusal is in the log before the answer, and without
// the log there is no answer.
func TestNoAuditNoAnswer(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		me, ref := physician(t), thing("a", "Observation", "na")
		w.tell(patient(t, "a", "Ash", "1980-01-02", "number-12345"), sodium(t, "a", "na", "one hundred forty"))
		reads := map[string]func() error{
			"get":     func() error { _, err := w.reader.Get(ctx, me, ref); return err },
			"vread":   func() error { _, err := w.reader.VRead(ctx, me, ref, "x"); return err },
			"history": func() error { _, err := w.reader.History(ctx, me, ref); return err },
			"chart":   func() error { _, err := w.reader.Chart(ctx, me, thing("a", "Patient", "")); return err },
			"absent":  func() error { _, err := w.reader.Get(ctx, me, thing("z", "Patient", "")); return err },
			"find":    func() error { _, err := w.reader.Find(ctx, me, record.Find{Number: "number-12345"}); return err },
			"find2": func() error {
				_, err := w.reader.Find(ctx, me, record.Find{Family: "Ash", Birth: "1980-01-02"})
				return err
			},
			"search": func() error { _, err := w.search(me, "Observation", "patient="+key("a"), ""); return err },
			"browse": func() error { _, err := w.search(me, "Observation", "code=x", ""); return err },
		}
		for name, read := range reads {
			before := w.log.Head().N
			read()
			if w.log.Head().N != before+1 {
				t.Errorf("%s wrote %d entries", name, w.log.Head().N-before)
			}
		}
		must(t, w.log.Close())
		for name, read := range reads {
			if err := read(); err == nil || status(err) != 0 {
				t.Errorf("%s without a log: %v", name, err)
			}
		}
		if n, err := audit.Verify(w.dir); n < int64(len(reads)) || err != nil {
			t.Errorf("%d entries, %v", n, err)
		}
		names, _ := filepath.Glob(filepath.Join(w.dir, "audit-*"))
		for _, name := range names {
			b, err := os.ReadFile(name)
			must(t, err)
			for _, secret := range []string{"Ash", "1980-01", "12345", "forty", "code=x"} {
				if strings.Contains(string(b), secret) {
					t.Errorf("the log holds %q", secret)
				}
			}
		}
	})
}

func TestAuditHeadIsAnchoredInTheDatabase(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.tell(patient(t, "a", "Ash", "1980-01-02", "1"))
		w.value(physician(t), thing("a", "Patient", ""))
		head := w.log.Head()
		must(t, w.Close())
		anchors, err := w.beside().Anchors(ctx)
		must(t, err)
		if len(anchors) != 1 || anchors[0] != head {
			t.Errorf("anchors %v, head %v", anchors, head)
		}
		if _, err := audit.Verify(w.dir, anchors...); err != nil {
			t.Error(err)
		}
	})
}
