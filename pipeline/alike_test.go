package pipeline

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"firebreak/audit"
	"firebreak/fhir"
	"firebreak/inbox"
	"firebreak/mapping"
	"firebreak/record"
)

// known is a patient with a result, as a hospital says it: identifiers, name,
// birth date, sex, postal code and telephone.
func known(control, number, name, birth, sex, postal, telephone string) inbox.Message {
	m := said("ORU^R01", control, number, name, birth, sex)
	m.Body = []byte(strings.Replace(string(m.Body), "|"+birth+"|"+sex+"\r", "|"+birth+"|"+sex+"|||1 Main St^^Town^BC^"+postal+"||"+telephone+"\r", 1))
	return m
}

// pairs are the numbers of those proposed and of those decided.
func pairs(t testing.TB, ops *record.Operations, me record.Shift) (open, past []record.Pair, text string) {
	t.Helper()
	open, past, err := ops.Pairs(ctx, me, "safety")
	must(t, err)
	for _, all := range [][]record.Pair{open, past} {
		for _, p := range all {
			a, b := p.Of[0].Numbers[0], p.Of[1].Numbers[0]
			text += fmt.Sprintf("%s=%s %s %s; ", min(a, b), max(a, b), strings.Join(p.Agrees, "+"), p.Decided)
		}
	}
	return open, past, text
}

// Two numbers of one person are proposed when name, birth date, sex and something
// else agree. Decided to be the same, each chart shows both, and undone, its own
// again, byte for byte; decided to be different, they are not proposed again.
func TestProbableDuplicatesAreFoundDecidedAndUndone(t *testing.T) {
	databases(t, func(t *testing.T, dsn string) {
		s := start(t, dsn, nil)
		for _, m := range []inbox.Message{
			known("a", "1", "Roe^Jane", "19700131", "F", "V6B 1A1", "604-555-0100"),
			known("b", "2", "ROE^JANE^Q", "19700131", "F", "v6b1a1", ""),            // postal code
			known("c", "3", "Roe^Jane", "19700131", "F", "H1A 1A1", "5145550199"),   // nothing else agrees
			known("d", "4", "Roe^Jane", "19700201", "F", "V6B 1A1", "604-555-0100"), // another birth date
			known("e", "5", "Roe^June", "19700131", "F", "V6B 1A1", "604-555-0100"), // another name
			known("f", "6", "Roe^Jane", "19700131", "M", "V6B 1A1", "604-555-0100"), // another sex
		} {
			s.put(t, m)
		}
		secret := known("g", "7", "Roe^Jane", "19700131", "F", "V6B 1A1", "604-555-0100")
		secret.Body = []byte(strings.ReplaceAll(string(secret.Body), "2951-2^Sodium", "7917-8^HIV 1 Ab"))
		s.put(t, secret) // known from something withheld alone
		reader, ask := s.ask(t)
		look := func() { must(t, reader.Office().LookThrough(ctx)) }
		ops, me := s.operations(t)
		look()
		open, _, text := pairs(t, ops, me)
		if text != "1=2 postal ; " {
			t.Fatalf("proposed: %s", text)
		}
		masked, _, err := ops.Pairs(ctx, me, "")
		must(t, err)
		if p := masked[0].Of[0]; strings.Trim(p.Name, "x ") != "" || p.Birth != "9999-99-99" || p.Numbers[0] != "9" {
			t.Errorf("masked: %+v", masked[0].Of[0])
		}
		chartOf := func(number string) string {
			key, err := mapping.PatientKey(s.keys, said("ADT^A01", "x", number, "", "", ""))
			must(t, err)
			return dump(s.chart(t, key))
		}
		one, two := chartOf("1"), chartOf("2")
		// doubles are those that a reader is warned of: the number of whose chart, and of which other.
		doubles := func(want string) {
			t.Helper()
			var got string
			numbers := map[string]string{}
			for n := '1'; n <= '7'; n++ {
				key, err := mapping.PatientKey(s.keys, said("ADT^A01", "x", string(n), "", "", ""))
				must(t, err)
				numbers[key] = string(n)
			}
			for _, key := range slices.SortedFunc(maps.Keys(numbers), func(a, b string) int { return strings.Compare(numbers[a], numbers[b]) }) {
				all, err := reader.Doubles(ctx, ask.Caller, fhir.Ref{Type: "Patient", ID: key})
				must(t, err)
				for _, ref := range all {
					got += numbers[key] + "=" + numbers[ref.ID] + "; "
				}
			}
			if got != want {
				t.Errorf("readers are warned of %q, want %q", got, want)
			}
		}
		doubles("1=2; 2=1; ")
		shift := 0
		decide := func(j record.Judgement) {
			t.Helper()
			shift++
			me.Request = fmt.Sprint("r", shift)
			must(t, ops.Judge(ctx, me, open[0].A, open[0].B, j))
		}
		decide(record.Same)
		doubles("")
		if chartOf("1") != chartOf("2") || s.results(t, "1") != 2 {
			t.Error("they are not shown as one")
		}
		look()
		if _, _, text := pairs(t, ops, me); text != "1=2 postal same; " {
			t.Errorf("decided: %s", text)
		}
		if err := ops.Judge(ctx, me, open[0].A, open[0].B, record.Different); err == nil {
			t.Error("what is decided is decided again")
		}
		decide(record.Reopened)
		if chartOf("1") != one || chartOf("2") != two {
			t.Error("undone, they are not as they were")
		}
		doubles("1=2; 2=1; ")
		decide(record.Different)
		doubles("")
		s.put(t, known("h", "2", "ROE^JANE^Q", "19700131", "F", "v6b1a1", "604-555-0100"))
		look()
		if _, _, text := pairs(t, ops, me); text != "1=2 postal different; " {
			t.Errorf("proposed again: %s", text)
		}
		decide(record.Reopened)
		s.put(t, known("i", "1", "Roe^Jane", "19700131", "F", "H0H 0H0", ""))
		s.put(t, known("j", "2", "ROE^JANE^Q", "19700131", "F", "X0X 0X0", "6040000000"))
		look()
		if _, _, text := pairs(t, ops, me); text != "" {
			t.Errorf("they are proposed though nothing agrees: %s", text)
		}
		if err := ops.Judge(ctx, me, "a", "b", record.Same); err == nil {
			t.Error("no pair is decided")
		}
		entries, _, err := s.Log.Find(ctx, audit.About{Action: audit.Operate}, 100)
		must(t, err)
		var details []string
		for _, e := range entries {
			details = append(details, e.Detail)
		}
		if all := strings.Join(details, "; "); !strings.Contains(all, "ops duplicates, masked") || !strings.Contains(all, "ops duplicates, in clear, for safety") || !strings.Contains(all, "ops duplicates, same") || strings.Contains(all, "Roe") {
			t.Errorf("audited: %s", all)
		}
	})
}
