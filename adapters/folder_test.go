package adapters

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"firebreak/adapters/sheet"
	"firebreak/inbox"
)

// drop is a folder with a clock to turn.
type drop struct {
	*Folder
	t    *testing.T
	now  time.Time
	sink *memory
	log  strings.Builder
}

func newDrop(t *testing.T) *drop {
	d := &drop{t: t, now: time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC), sink: &memory{}}
	d.Folder = &Folder{
		HL7:    HL7{Source: "lab", Sink: d.sink, Facilities: []string{"MERCY"}, Now: func() time.Time { return d.now }, Logger: slog.New(slog.NewTextHandler(&d.log, nil))},
		Dir:    t.TempDir(),
		Settle: 10 * time.Second, Every: time.Second,
	}
	return d
}

func (d *drop) write(name, text string) {
	d.t.Helper()
	if err := os.WriteFile(filepath.Join(d.Dir, name), []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

// look looks, waits until files are whole, and looks again.
func (d *drop) look() error {
	first := d.Look(d.t.Context())
	d.now = d.now.Add(d.Settle)
	return errors.Join(first, d.Look(d.t.Context()))
}

func (d *drop) files() (all []string) {
	_ = filepath.WalkDir(d.Dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			name, _ := filepath.Rel(d.Dir, path)
			all = append(all, name)
		}
		return err
	})
	return all
}

func (d *drop) report(name string) string {
	b, err := os.ReadFile(filepath.Join(d.Dir, name))
	if err != nil {
		d.t.Error(err)
	}
	return string(b)
}

func TestFilesOfAFolder(t *testing.T) {
	a, b, foreign := adt("1", "MERCY"), adt("2", "MERCY"), adt("3", "EVIL")
	lines := func(s string) string { return strings.ReplaceAll(s, "\r", "\n") }
	for _, c := range []struct {
		name, text string
		kept       int
		report     string // "" when it is all well
	}{
		{"one message", a, 1, ""},
		{"two", a + b, 2, ""},
		{"two with lines of another system", lines(a) + "\r\n\r\n" + strings.ReplaceAll(b, "\r", "\r\n"), 2, ""},
		{"two framed", "\v" + a + "\x1c\r\v" + b + "\x1c\r", 2, ""},
		{"a batch", "FHS|^~\\&|A\rBHS|^~\\&|A\r" + a + b + "BTS|2\rFTS|1\r", 2, ""},
		{"a batch cut short", "BHS|^~\\&|A\r" + a + "BTS|2\r", 1, "1 messages, 1 taken\nline 4: the trailer says 2, there are 1\n"},
		{"another's message among ours", a + foreign + b, 2, "3 messages, 2 taken\nline 3: "},
		{"words", "hello secret", 0, "0 messages, 0 taken\nline 1: lines that belong to no message\nthere is no message\n"},
		{"nothing", "", 0, "0 messages, 0 taken\nthere is no message\n"},
		{"what cannot be read", "MSH|^^\\&|A|MERCY\r", 1, "1 messages, 0 taken\nline 1: is held: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDrop(t)
			d.write("in.hl7", c.text)
			if err := d.look(); err != nil {
				t.Fatal(err)
			}
			if len(d.sink.kept) != c.kept {
				t.Errorf("%d are kept", len(d.sink.kept))
			}
			folder := "done"
			if c.report != "" {
				folder = "failed"
			}
			if got := d.files(); !slices.Equal(got, []string{folder + "/in.hl7", folder + "/in.hl7.report.txt"}) {
				t.Fatalf("files: %v", got)
			}
			if got := d.report(folder + "/in.hl7.report.txt"); !strings.HasPrefix(got, c.report) || strings.Contains(got, "secret") || strings.Contains(got, "EVIL") {
				t.Errorf("the report says %q", got)
			}
		})
	}
}

func TestFilesAreTakenWhenWhole(t *testing.T) {
	d := newDrop(t)
	d.write("being-written.tmp", adt("1", "MERCY"))
	d.write(".hidden", adt("1", "MERCY"))
	d.write("growing.hl7", adt("1", "MERCY"))
	if err := os.Symlink("/etc/hostname", filepath.Join(d.Dir, "link.hl7")); err != nil {
		t.Fatal(err)
	}
	if err := d.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 3 { // as long as it grows
		d.now = d.now.Add(9 * time.Second)
		d.write("growing.hl7", d.report("growing.hl7")+adt("2", "MERCY"))
		if err := d.Look(t.Context()); err != nil {
			t.Fatal(err)
		}
		d.now = d.now.Add(9 * time.Second)
		if err := d.Look(t.Context()); err != nil || len(d.sink.kept) > 0 {
			t.Fatalf("%d are kept, %v", len(d.sink.kept), err)
		}
	}
	if err := d.look(); err != nil {
		t.Fatal(err)
	}
	if len(d.sink.kept) != 2 {
		t.Errorf("%d are kept", len(d.sink.kept))
	}
	if m := d.sink.kept[1]; m.Peer != "file growing.hl7 #2" || m.Source != "lab" || m.Kind != inbox.HL7v2 || m.ControlID != "2" {
		t.Errorf("kept %+v", m)
	}
}

// A process that dies with half a file in the inbox takes it again; the inbox
// has each message once.
func TestAFileThatWasHalfTakenIsTakenAgain(t *testing.T) {
	d := newDrop(t)
	d.write("in.hl7", adt("1", "MERCY")+adt("2", "MERCY"))
	d.sink.fails = errors.New("disk full")
	if err := d.look(); err == nil {
		t.Error("it says nothing of a failing inbox")
	}
	if got := d.files(); !slices.Equal(got, []string{"in.hl7"}) {
		t.Fatalf("files: %v", got)
	}
	d.sink.fails = nil
	for range 3 { // dies before it is moved, twice
		again := newDrop(t)
		again.Dir, again.sink = d.Dir, d.sink
		again.Sink = d.sink
		if err := again.look(); err != nil {
			t.Fatal(err)
		}
		if len(d.sink.kept) != 2 {
			t.Fatalf("%d are kept", len(d.sink.kept))
		}
		if err := os.Rename(filepath.Join(d.Dir, "done/in.hl7"), filepath.Join(d.Dir, "in.hl7")); err != nil {
			t.Fatal(err)
		}
	}
	// Another file of that name lies over none.
	if err := d.look(); err != nil {
		t.Fatal(err)
	}
	d.write("in.hl7", adt("4", "MERCY"))
	if err := d.look(); err != nil {
		t.Fatal(err)
	}
	if got := d.files(); !slices.Contains(got, "done/in.hl7") || !slices.Contains(got, "done/in.hl7.2") {
		t.Errorf("files: %v", got)
	}
	if strings.Contains(d.log.String(), "secret\r") {
		t.Error("the log holds content")
	}
}

// What happens to a file while it is read, or just before, is read too, whatever its
// sender does; nothing is moved that was not read.
func TestAFileThatChangesWhileItIsTaken(t *testing.T) {
	for name, change := range map[string]func(d *drop){
		"another of its name takes its place": func(d *drop) {
			d.write("new.tmp", adt("3", "MERCY"))
			if err := os.Rename(filepath.Join(d.Dir, "new.tmp"), filepath.Join(d.Dir, "in.hl7")); err != nil {
				t.Fatal(err)
			}
		},
		"it is written anew": func(d *drop) { d.write("in.hl7", adt("3", "MERCY")) },
		"it grows":           func(d *drop) { d.write("in.hl7", adt("1", "MERCY")+adt("2", "MERCY")+adt("3", "MERCY")) },
		"it is taken away": func(d *drop) {
			if err := os.Rename(filepath.Join(d.Dir, "in.hl7"), filepath.Join(d.Dir, "later.tmp")); err != nil {
				t.Fatal(err)
			}
			d.write("z", adt("3", "MERCY"))
		},
	} {
		for _, when := range []string{"1", "2"} { // as one before it is read, or it is
			t.Run(name+" at "+when, func(t *testing.T) {
				d := newDrop(t)
				d.write("before.hl7", adt("1", "MERCY"))
				d.now = d.now.Add(time.Second)
				d.write("in.hl7", adt("1", "MERCY")+adt("2", "MERCY"))
				d.sink.then = func(m inbox.Message) {
					if m.ControlID == when {
						d.sink.then = nil
						change(d)
					}
				}
				if err := d.look(); err != nil && name != "it is taken away" {
					t.Fatal(err)
				}
				if got := d.files(); slices.Contains(got, "done/in.hl7") {
					t.Fatalf("it is moved: %v", got)
				}
				if err := d.look(); err != nil {
					t.Fatal(err)
				}
				if n := len(d.sink.kept); d.sink.kept[n-1].ControlID != "3" {
					t.Errorf("%d are kept", n)
				}
				if got := d.files(); slices.Contains(got, "in.hl7") {
					t.Errorf("it is never taken: %v", got)
				}
			})
		}
	}
}

// What takes a file's place in the moment in which it is moved goes back, over no other.
func TestAFileThatIsMovedUnreadGoesBack(t *testing.T) {
	d := newDrop(t)
	d.write("in.hl7", adt("1", "MERCY"))
	root, err := os.OpenRoot(d.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	was, err := root.Lstat("in.hl7")
	if err != nil {
		t.Fatal(err)
	}
	d.write("in.hl7", adt("1", "MERCY")+adt("2", "MERCY"))
	if err := d.move(root, "in.hl7", was, report{}); err != nil {
		t.Fatal(err)
	}
	if got := d.files(); !slices.Equal(got, []string{"in.hl7"}) {
		t.Errorf("files: %v", got)
	}
	if err := os.Mkdir(filepath.Join(d.Dir, "done"), 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		t.Fatal(err)
	}
	d.write("done/in.hl7", adt("3", "MERCY"))
	d.write("done/in.hl7"+reportEnd, "")
	if err := d.putBack(root, "done/in.hl7", "in.hl7"); err != nil {
		t.Fatal(err)
	}
	if got := d.files(); !slices.Equal(got, []string{"in.hl7", "in.hl7.2"}) {
		t.Errorf("files: %v", got)
	}
	if done, failed := d.Counts(); done+failed != 0 {
		t.Errorf("%d and %d files are counted", done, failed)
	}
}

func TestAFileThatCannotBeMovedStopsNoOther(t *testing.T) {
	d := newDrop(t)
	long := strings.Repeat("smith", 50) // no file may be called this and .report.txt
	d.write(long, adt("1", "MERCY"))
	d.now = d.now.Add(time.Second)
	d.write("z", adt("2", "MERCY"))
	err := d.look()
	if err == nil || strings.Contains(err.Error(), "smith") {
		t.Errorf("got %v", err)
	}
	if files := d.files(); !slices.Contains(files, "done/z") || !slices.Contains(files, long) {
		t.Errorf("there are %q", files)
	}
}

func TestRowsOfAFolder(t *testing.T) {
	d := newDrop(t)
	var err error
	d.CSV, err = sheet.Map{Message: "ADT^A31", Columns: map[string]sheet.Column{"MRN": {To: "PID-3.1"}, "Born": {To: "PID-7", As: "YYYY-MM-DD"}}, Constants: map[string]string{"MSH-4": "MERCY"}}.Plan()
	if err != nil {
		t.Fatal(err)
	}
	d.write("good.csv", "MRN,Born\n1,1970-01-31\n2,1971-01-31\n")
	d.write("half.csv", "MRN,Born\n3,1972-01-31\n4,yesterday\n")
	d.write("other.csv", "Number\n5\n")
	if err := d.look(); err != nil {
		t.Fatal(err)
	}
	if n := len(d.sink.kept); n != 3 {
		t.Errorf("%d messages are kept", n)
	}
	if got := d.report("failed/half.csv.report.txt"); got != "2 messages, 1 taken\nline 3: Born: the cell is no such time\n" {
		t.Errorf("the report says %q", got)
	}
	if got := d.report("failed/other.csv.report.txt"); got != "1 messages, 0 taken\nline 1: there is no column \"Born\"\n" {
		t.Errorf("the report says %q", got)
	}
	if files := d.files(); !slices.Contains(files, "done/good.csv") || !slices.Contains(files, "failed/half.csv") {
		t.Errorf("there are %q", files)
	}
}
