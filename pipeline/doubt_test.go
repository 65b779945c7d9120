package pipeline

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"firebreak/access/accesstest"
	"firebreak/audit"
	"firebreak/inbox"
	"firebreak/mapping"
	"firebreak/record"
)

// said is a message about number 7's patient: an ADT, or a sodium of that name.
func said(event, control, number, name, birth, sex string) inbox.Message {
	at := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC).Add(time.Duration(len(control)) * time.Second)
	head := fmt.Sprintf("MSH|^~\\&|EHR|GENERAL|FB|FB|%s||%s|%s|P|2.5\rPID|1||%s^^^GENERAL^MR||%s||%s|%s\r", at.Format("20060102150405"), event, control, number, name, birth, sex)
	if strings.HasPrefix(event, "ADT") {
		head += "PV1|1|I|4E^401|||||||||||||||" + "|V1\r"
	} else {
		head += fmt.Sprintf("OBR|1|P%[1]s|F%[1]s|2951-2^Sodium^LN|||20260301\rOBX|1|NM|2951-2^Sodium^LN||140|mmol/L|||||F\r", control)
	}
	return inbox.Message{Source: "ward", Kind: inbox.HL7v2, ControlID: control, Received: at, Body: []byte(head)}
}

// taken takes a message in and says why it is held; empty when it is applied.
func (s *system) taken(t testing.TB, m inbox.Message) (inbox.ID, string) {
	t.Helper()
	r, err := s.Put(ctx, m)
	must(t, err)
	return r.ID, s.why(t, r.ID)
}

func (s *system) why(t testing.TB, id inbox.ID) string {
	t.Helper()
	err := s.Applied(ctx, id)
	if held, ok := errors.AsType[*inbox.HeldError](err); ok {
		return held.Reason
	}
	must(t, err)
	return ""
}

func (s *system) operations(t testing.TB) (*record.Operations, record.Shift) {
	reader, _ := s.ask(t)
	return reader.Operations(s.Pipeline), record.Shift{Operator: accesstest.Operator(t), Request: "r"}
}

func (s *system) results(t testing.TB, number string) int {
	t.Helper()
	key, err := mapping.PatientKey(s.keys, said("ADT^A01", "x", number, "", "", ""))
	must(t, err)
	return len(s.chart(t, key).Of("Observation"))
}

const (
	birthDiffers = "doubtful identity: PID-7: another birth date than is known of the patient of this number"
	numberOnly   = "doubtful identity: PID-3: nothing but the number says whose it is, and a message that contradicts the number's patient is held"
)

// A message whose number is known and whose birth date is another's is held whole.
// What agrees with the known patient goes on; what agrees with the doubtful
// message, or says nothing but the number, waits. Somebody says that it is the
// same person: all that waited is applied, and nobody is asked again.
func TestDoubtfulIdentityIsHeldForAPerson(t *testing.T) {
	databases(t, func(t *testing.T, dsn string) {
		s := start(t, dsn, nil)
		held := map[string]inbox.ID{}
		for _, step := range []struct{ control, event, name, birth, want string }{
			{"a", "ADT^A01", "Roe^Jane", "19700131", ""},
			{"bb", "ORU^R01", "Roe^Jane", "19700131", ""},
			{"ccc", "ORU^R01", "Roe^Jane", "19850505", birthDiffers},
			{"dddd", "ORU^R01", "", "", numberOnly},
			{"eeeee", "ORU^R01", "Roe^Jane", "19700131", ""},
			{"ffffff", "ADT^A01", "Poe^Ann", "19900909", birthDiffers},
			{"ggggggg", "ORU^R01", "Roe^J", "", ""},
		} {
			id, why := s.taken(t, said(step.event, step.control, "7", step.name, step.birth, "F"))
			if why != step.want {
				t.Errorf("%s: %q, want %q", step.control, why, step.want)
			}
			if why != "" {
				held[step.control] = id
			}
		}
		if n := s.results(t, "7"); n != 3 {
			t.Errorf("%d results while two wait", n)
		}
		ops, me := s.operations(t)
		comparesDoubt(t, s, ops, me, held)
		must(t, s.Replay(ctx, held["ccc"]))
		if why := s.why(t, held["ccc"]); why != birthDiffers {
			t.Errorf("replayed, it is held for %q", why)
		}
		must(t, ops.Vouch(ctx, me, held["ccc"]))
		for control, want := range map[string]string{"ccc": "", "dddd": numberOnly, "ffffff": birthDiffers} {
			if why := s.why(t, held[control]); why != want {
				t.Errorf("one is decided, %s: %q, want %q", control, why, want)
			}
		}
		must(t, ops.Vouch(ctx, me, held["ffffff"]))
		if why := s.why(t, held["dddd"]); why != "" {
			t.Errorf("all is decided, and what says only the number is held: %q", why)
		}
		if err := ops.Vouch(ctx, me, held["dddd"]); err == nil {
			t.Error("what is not held is vouched for")
		}
		if _, why := s.taken(t, said("ORU^R01", "hhhhhhhh", "7", "Roe^Jane", "19850505", "F")); why != "" {
			t.Errorf("asked again: %q", why)
		}
		if n := s.results(t, "7"); n != 6 {
			t.Errorf("%d results at the end", n)
		}
	})
}

// comparesDoubt: whoever decides sees what the message says and whom its number is
// known for; masked, and in clear written down as a look at that patient.
func comparesDoubt(t *testing.T, s *system, ops *record.Operations, me record.Shift, held map[string]inbox.ID) {
	t.Helper()
	for _, id := range held { // what came last had them tried again
		if s.why(t, id) == "" {
			t.Errorf("message %d is applied", id)
		}
	}
	seen, err := ops.Message(ctx, me, held["ccc"], "")
	must(t, err)
	if d := seen.Doubt; d == nil || d.Says.Name != "xxx xxxx" || len(d.Known) != 1 || d.Known[0].Name != "xxx xxxx" || d.Known[0].Birth != "9999-99-99" || len(d.Beside) != 2 {
		t.Errorf("masked: %+v", d)
	}
	seen, err = ops.Message(ctx, me, held["ccc"], "safety")
	must(t, err)
	if d := seen.Doubt; d.Says.Birth != "1985-05-05" || d.Known[0].Name != "Roe Jane" || d.Known[0].Birth != "1970-01-31" || d.Known[0].Numbers[0] != "7" {
		t.Errorf("in clear: %+v", d)
	}
	key, err := mapping.PatientKey(s.keys, said("ADT^A01", "x", "7", "", "", ""))
	must(t, err)
	entries, _, err := s.Log.Find(ctx, audit.About{Action: audit.Operate, Patients: []string{"Patient/" + key}}, 10)
	must(t, err)
	if len(entries) != 1 || !strings.Contains(entries[0].Detail, "in clear, for safety") {
		t.Errorf("looks at the patient: %+v", entries)
	}
}

// It is another person: the copy with the right number makes a chart of its own,
// and what waited for the decision is applied.
func TestDoubtfulIdentityIsAnotherPerson(t *testing.T) {
	databases(t, func(t *testing.T, dsn string) {
		s := start(t, dsn, nil)
		s.put(t, said("ADT^A01", "a", "7", "Roe^Jane", "19700131", "F"))
		wrong := said("ORU^R01", "bb", "7", "Poe^Ann", "19850505", "F")
		id, why := s.taken(t, wrong)
		if why != birthDiffers {
			t.Fatalf("held for %q", why)
		}
		only, why := s.taken(t, said("ORU^R01", "ccc", "7", "", "", ""))
		if why != numberOnly {
			t.Fatalf("held for %q", why)
		}
		ops, me := s.operations(t)
		_, err := ops.Mend(ctx, me, id, []byte(strings.Replace(string(wrong.Body), "||7^", "||8^", 1)))
		must(t, err)
		if why := s.why(t, only); why != "" {
			t.Errorf("held for %q", why)
		}
		if n, m := s.results(t, "7"), s.results(t, "8"); n != 1 || m != 1 {
			t.Errorf("%d and %d results", n, m)
		}
	})
}

// The registration corrects a birth date: what was held for it is tried again by
// itself, and the old date is still the patient's.
func TestCorrectedBirthDateSettlesDoubt(t *testing.T) {
	s := start(t, t.TempDir()+"/record.db", nil)
	s.put(t, said("ADT^A01", "a", "7", "Roe^Jane", "19700131", "F"))
	id, why := s.taken(t, said("ORU^R01", "bb", "7", "Roe^Jane", "19850505", "F"))
	if why != birthDiffers {
		t.Fatalf("held for %q", why)
	}
	s.put(t, said("ADT^A08", "ccc", "7", "Roe^Jane", "19850505", "F"))
	if why := s.why(t, id); why != "" {
		t.Errorf("held for %q", why)
	}
	s.put(t, said("ORU^R01", "dddd", "7", "Roe^Jane", "19700131", "F"))
	if n := s.results(t, "7"); n != 2 {
		t.Errorf("%d results", n)
	}
}

// A message about sensitive matters alone says of whom the chart is to nobody: a
// harmless one that contradicts it is applied as if it had never come.
func TestSensitiveMessageCastsNoDoubt(t *testing.T) {
	s := start(t, t.TempDir()+"/record.db", nil)
	secret := said("ORU^R01", "a", "7", "Roe^Jane", "19700131", "F")
	secret.Body = []byte(strings.ReplaceAll(string(secret.Body), "2951-2^Sodium", "7917-8^HIV 1 Ab"))
	s.put(t, secret)
	s.put(t, said("ORU^R01", "bb", "7", "Poe^Ann", "19850505", "F"))
	if _, why := s.taken(t, said("ORU^R01", "ccc", "7", "Roe^Jane", "19700131", "F")); why != birthDiffers {
		t.Errorf("held for %q", why)
	}
}
