package sheet

import (
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"firebreak/adapters/hl7"
)

var changed = time.Date(2026, 3, 1, 8, 30, 0, 0, time.UTC)

const appointments = `{
	"message": "SIU^S12",
	"event": {"column": "State", "values": {"Cancelled": "S15", "No show": "S26"}},
	"columns": {
		"Booking": "SCH-2.1", "MRN": "PID-3.1", "Surname": "PID-5.1", "First name": "PID-5.2",
		"Born": {"to": "PID-7", "as": "DD/MM/YYYY"}, "Sex": {"to": "PID-8", "values": {"Female": "F", "Male": "M"}},
		"Day": {"to": "SCH-11.4", "as": "DD MMM YYYY"}, "Time": {"to": "SCH-11.4", "as": "hh:mm"},
		"Reason": "SCH-7.2", "Clinic": "AIL-3.1", "Second kin": "NK1[2]-2.1"
	},
	"constants": {"PID-3.4": "WEST", "PID-3.5": "MR", "AIL-4.2": "Clinic"},
	"separator": ";"
}`

func plan(t testing.TB, text string) *Plan {
	t.Helper()
	var m Map
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatal(err)
	}
	p, err := m.Plan()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// told is what became of a file, a line a row, without the control ids and the
// cells that are kept beside.
func told(p *Plan, file string) string {
	var b strings.Builder
	for r := range p.Rows(strings.NewReader(file), changed) {
		if r.Fault != nil {
			b.WriteString("line " + string(rune('0'+r.Line)) + ": " + r.Fault.Error() + "\n")
			continue
		}
		m, err := hl7.Parse(r.Message)
		if err != nil {
			return err.Error()
		}
		if m, err = m.With("MSH-10", "ID"); err != nil {
			return err.Error()
		}
		for line := range strings.SplitSeq(strings.TrimSuffix(string(m.Wire()), "\r"), "\r") {
			if !strings.HasPrefix(line, "ZCV") {
				b.WriteString(line + "\n")
			}
		}
	}
	return b.String()
}

func TestRowsBecomeMessages(t *testing.T) {
	p := plan(t, strings.Replace(appointments, `, "Second kin": "NK1[2]-2.1"`, "", 1))
	const headers = "Booking;MRN;Surname;First name;Born;Sex;Day;Time;State;Reason;Clinic;Notes\n"
	const head = `MSH|^~\&|CSV||||20260301083000+0000||SIU^S12|ID|P|2.5.1||||||UNICODE UTF-8` + "\n"
	for _, c := range []struct{ name, file, want string }{
		{"a booking", headers + "B1;77;Roe;Jane;03/02/1971;Female;5 Mar 2026;09:30;Booked;Check-up;West;bring list\n",
			head + "SCH||B1|||||^Check-up||||^^^202603050930\nPID|1||77^^^WEST^MR||Roe^Jane||19710203|F\nAIL|1||West|^Clinic\n"},
		{"a cancellation, without a place", headers + "B1;77;Roe;Jane;3/2/1971;Female;05 Mar 2026;9:30;Cancelled;;;\n",
			strings.Replace(head, "S12", "S15", 1) + "SCH||B1|||||||||^^^202603050930\nPID|1||77^^^WEST^MR||Roe^Jane||19710203|F\n"},
		{"a day without a time", headers + "B1;77;Roe;Jane;;;05 Mar 2026;;Booked;;;\n",
			head + "SCH||B1|||||||||^^^20260305\nPID|1||77^^^WEST^MR||Roe^Jane\n"},
		{"delimiters, quotes, line ends, blank lines", headers + "\"B|1\";77;\"O'Ro\"\"e & Co\";\"J^\nne\";;;;;;;;\n;;;;;;;;;;;\n\n",
			head + `SCH||B\F\1` + "\n" + `PID|1||77^^^WEST^MR||O'Ro"e \T\ Co^J\S\\.br\ne` + "\n"},
		{"columns in another order, a mark of byte order", "\ufeffClinic;Reason;State;Time;Day;Sex;Born;First name;Surname;MRN;Booking\n;;;9:30;5 Mar 2026;;;;Roe;77;B1\n",
			head + "SCH||B1|||||||||^^^202603050930\nPID|1||77^^^WEST^MR||Roe\n"},
		{"Windows-1252", headers + "B1;77;Ca\xf1ada;Zo\xeb;;;;;;;;\n", head + "SCH||B1\nPID|1||77^^^WEST^MR||Cañada^Zoë\n"},
		{"faults name the column and never the cell", headers + "B1;77;Roe;Jane;Smith;Female;;;;;;\nB2;78;Doe;Jo;;Jones;;;;;;\nB3;79\nB4;80;Poe;Al;;;;;;;;\n",
			"line 2: Born: the cell is no such time\nline 3: Sex: values does not name what is in the cell\nline 4: there are 2 cells below 12 headers\n" +
				head + "SCH||B4\nPID|1||80^^^WEST^MR||Poe^Al\n"},
		{"a time without its day", headers + "B1;77;Roe;Jane;;;;09:30;;;;\n", "line 2: Day and Time: the cell is no such time\n"},
		{"a bare quote", headers + "B1;77;R\"oe;Jane;;;;;;;;\nB4;80;Poe;Al;;;;;;;;\n", "line 2: bare \" in non-quoted-field\n" + head + "SCH||B4\nPID|1||80^^^WEST^MR||Poe^Al\n"},
		{"without a column", "Booking;MRN\nB1;77\n", "line 1: there is no column \"Born\"\n"},
		{"a column twice", headers[:len(headers)-1] + ";MRN\n", "line 1: columns 2 and 13 are called alike\n"},
		{"empty", "", "line 1: there is no line of headers\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := told(p, c.file); got != c.want {
				t.Errorf("got\n%swant\n%s", got, c.want)
			}
		})
	}
}

// A row is known again in the same file, and is another message in a later one:
// what was changed and changed back must not be taken for a repetition.
func TestControlIDs(t *testing.T) {
	p := plan(t, `{"message": "ADT^A31", "columns": {"MRN": "PID-3.1"}}`)
	ids := func(at time.Time) (all []string) {
		for r := range p.Rows(strings.NewReader("MRN\n1\n1\n2\n"), at) {
			m, err := hl7.Parse(r.Message)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, m.ControlID())
		}
		return all
	}
	first, again, later := ids(changed), ids(changed), ids(changed.Add(time.Second))
	if first[0] == first[1] || strings.Join(first, " ") != strings.Join(again, " ") || later[0] == first[0] {
		t.Errorf("%q, %q, %q", first, again, later)
	}
}

func TestMapsThatCannotWork(t *testing.T) {
	for text, want := range map[string]string{
		`{"message": "ORU^R01", "columns": {"a": "PID-3"}}`:                                            `message must be ADT or SIU with an event, like SIU^S12, not "ORU^R01"`,
		`{"message": "ADT^A31", "columns": {"a": "PID-5"}}`:                                            "columns: none is the patient's number, PID-3",
		`{"message": "SIU^S12", "columns": {"a": "PID-3"}}`:                                            "columns: none is the appointment's number, SCH-1 or SCH-2: a change would be another appointment",
		`{"message": "ADT^A31", "columns": {"a": "PID-3", "b": "OBR-4"}}`:                              "columns: b: a row that becomes ADT has no segment OBR",
		`{"message": "ADT^A31", "columns": {"a": "PID-3", "b": "MSH-10"}}`:                             "columns: b: MSH-10 is made here",
		`{"message": "ADT^A31", "columns": {"a": "PID-3", "b": "surname"}}`:                            `columns: b: hl7: "surname" is not a path such as PID-3.4.1 or OBX[2]-5[3].1`,
		`{"message": "ADT^A31", "columns": {"a": "PID-3", "b": {"to": "PID-7", "as": "dd.mm.jj"}}}`:    `columns: b: as "dd.mm.jj" is not made of YYYY, MM, DD, hh, mm and ss`,
		`{"message": "ADT^A31", "columns": {"a": "PID-3", "b": {"to": "PID-7", "as": "MM/MM/YYYY"}}}`:  `columns: b: as "MM/MM/YYYY" names MM twice`,
		`{"message": "ADT^A31", "columns": {"a": "PID-3"}, "separator": "||"}`:                         "separator must be one character, no quote and no line end",
		`{"message": "ADT^A31", "columns": {"a": "PID-3"}, "event": {"column": "b"}}`:                  "event needs column and values",
		`{"message": "ADT^A31", "columns": {"a": "PID-3"}, "constants": {"PV1[10]-2": "I"}}`:           "constants: at most 9 of a segment",
		`{"message": "ADT^A31", "columns": {"a": "PID-3"}, "constants": {"PID-3": "no\nsuch|^thing"}}`: "",
	} {
		var m Map
		if err := json.Unmarshal([]byte(text), &m); err != nil {
			t.Fatal(err)
		}
		_, err := m.Plan()
		if (err == nil) != (want == "") || err != nil && err.Error() != want {
			t.Errorf("%s\ngot  %v\nwant %s", text, err, want)
		}
	}
}

func FuzzRows(f *testing.F) {
	f.Add("Booking;MRN;Surname;First name;Born;Sex;Day;Time;State;Reason;Clinic;Notes\nB1;77;Roe;Jane;03/02/1971;Female;5 Mar 2026;09:30;Booked;Check-up;West;\"a\nb\"\n")
	f.Add("Booking;MRN\n\"")
	f.Add("\ufeff;;\n;;\n\xff;\r\n;")
	p := plan(f, `{"message": "SIU^S12", "separator": ";", "columns": {"Booking": "SCH-2.1", "MRN": "PID-3.1", "Surname": "PID-5.1", "Day": {"to": "SCH-11.4", "as": "DD MMM YYYY"}}, "constants": {"PID-3.4": "WEST"}}`)
	f.Fuzz(func(t *testing.T, file string) {
		for r := range p.Rows(strings.NewReader(file), changed) {
			if r.Fault != nil {
				continue
			}
			m, err := hl7.Parse(r.Message)
			if err != nil {
				t.Fatalf("a row became what cannot be read: %v", err)
			}
			if m.Get("MSH-9.1") != "SIU" || m.Get("PID-3.4") != "WEST" || strings.Count(string(r.Message), "\rPID|") != 1 {
				t.Fatalf("a cell got out of its field: %q", r.Message)
			}
		}
	})
}
