package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"firebreak/fhir"
)

var ctx = context.Background()

func clock() time.Time { return time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// written is a log of n entries in segments of about 1 kB, closed.
func written(t testing.TB, n int) string {
	t.Helper()
	dir := t.TempDir()
	l, err := open(dir, clock, 1000)
	must(t, err)
	for i := range n {
		must(t, l.Append(ctx, Event{Action: Read, Subject: "https://idp someone", Patient: fhir.Ref{Type: "Patient", ID: fmt.Sprint("p", i)}}))
	}
	must(t, l.Close())
	return dir
}

func TestChainHoldsOverRestartsAndSegments(t *testing.T) {
	dir := t.TempDir()
	var anchors []Anchor
	for range 5 {
		l, err := open(dir, clock, 1000)
		must(t, err)
		for range 7 {
			must(t, l.Append(ctx, Event{Action: Search, Detail: "Observation code,patient"}))
		}
		anchors = append(anchors, l.Head())
		must(t, l.Close())
	}
	n, err := Verify(dir, anchors...)
	if n != 35 || err != nil {
		t.Errorf("%d entries, %v", n, err)
	}
	names, err := segments(dir)
	must(t, err)
	if len(names) < 3 {
		t.Errorf("only %d segments", len(names))
	}
	for _, name := range append(names, "head", "lock") {
		info, err := os.Stat(filepath.Join(dir, name))
		must(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
	}
}

func TestEveryAppendOfManyIsThereOnce(t *testing.T) {
	dir := t.TempDir()
	l, err := open(dir, clock, 20_000)
	must(t, err)
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for i := range 50 {
				if err := l.Append(ctx, Event{Action: Read, Request: fmt.Sprintf("%d-%d", g, i)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	must(t, l.Close())
	if n, err := Verify(dir); n != 800 || err != nil {
		t.Fatalf("%d entries, %v", n, err)
	}
	seen := map[string]int{}
	names, _ := segments(dir)
	for _, name := range names {
		b, _ := os.ReadFile(filepath.Join(dir, name))
		for line := range bytes.Lines(b) {
			var e struct{ Request string }
			must(t, json.Unmarshal(line, &e))
			seen[e.Request]++
		}
	}
	if len(seen) != 800 {
		t.Errorf("%d different entries", len(seen))
	}
}

func TestTamperingIsNamed(t *testing.T) {
	edit := func(name string, f func(lines []string) []string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			b, err := os.ReadFile(filepath.Join(dir, name))
			must(t, err)
			lines := strings.SplitAfter(strings.TrimSuffix(string(b), "\n"), "\n")
			must(t, os.WriteFile(filepath.Join(dir, name), []byte(strings.Join(f(lines), "")), 0o600))
		}
	}
	dir := written(t, 20)
	names, err := segments(dir)
	must(t, err)
	first, last := names[0], names[len(names)-1]
	for _, c := range []struct {
		name string
		do   func(t *testing.T, dir string)
		file string
		line int
	}{
		{"a changed byte", edit(first, func(l []string) []string { l[1] = strings.Replace(l[1], "p1", "p9", 1); return l }), first, 2},
		{"a removed line", edit(first, func(l []string) []string { return append(l[:1], l[2:]...) }), first, 2},
		{"two lines swapped", edit(first, func(l []string) []string { l[0], l[1] = l[1], l[0]; return l }), first, 1},
		{"a line twice", edit(first, func(l []string) []string { return append([]string{l[0]}, l...) }), first, 2},
		{"a missing segment", func(t *testing.T, dir string) { must(t, os.Remove(filepath.Join(dir, names[1]))) }, names[2], 1},
		{"a missing first segment", func(t *testing.T, dir string) { must(t, os.Remove(filepath.Join(dir, first))) }, names[1], 1},
		{"a missing last segment", func(t *testing.T, dir string) { must(t, os.Remove(filepath.Join(dir, last))) }, "", 0},
		{"a cut tail", edit(last, func(l []string) []string { return l[:len(l)-1] }), "", 0},
		{"a tail cut in mid-line", edit(last, func(l []string) []string { l[len(l)-1] = l[len(l)-1][:30]; return l }), "", 0},
		{"a whole line put on the end", edit(last, func(l []string) []string { return append(l, "\n"+`{"n":21}`+"\n") }), last, 0},
		{"everything written anew", func(t *testing.T, dir string) {
			forged := written(t, 20)
			for _, name := range append(names, "head") {
				b, err := os.ReadFile(filepath.Join(forged, name))
				must(t, err)
				must(t, os.WriteFile(filepath.Join(dir, name), bytes.ReplaceAll(b, []byte("p1"), []byte("p9")), 0o600))
			}
		}, first, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := written(t, 20)
			c.do(t, dir)
			_, err := Verify(dir)
			var broken *BrokenError
			if !errors.As(err, &broken) {
				t.Fatalf("got %v", err)
			}
			if broken.File != c.file || c.line > 0 && broken.Line != c.line {
				t.Errorf("named %s line %d, want %s line %d", broken.File, broken.Line, c.file, c.line)
			}
		})
	}
}

func TestAnchorElsewhereShowsAForgedChain(t *testing.T) {
	dir := t.TempDir()
	l, err := Open(dir, clock)
	must(t, err)
	must(t, l.Append(ctx, Event{Action: Read, Detail: "what was done"}))
	anchor := l.Head()
	must(t, l.Close())
	forged := t.TempDir()
	l, err = Open(forged, clock)
	must(t, err)
	must(t, l.Append(ctx, Event{Action: Read, Detail: "what is claimed"}))
	must(t, l.Close())
	if _, err := Verify(forged); err != nil {
		t.Fatalf("a forged chain is a chain: %v", err)
	}
	if _, err := Verify(forged, anchor); err == nil {
		t.Error("the anchor did not show the forgery")
	}
}

// Whatever a crash leaves of the last write, the log opens again, keeps all that
// was acknowledged, and goes on. It leaves a part of it, or all but some blocks
// that stay the zeros which were there before.
func TestTornEndIsSetAsideAndSaid(t *testing.T) {
	dir := written(t, 20)
	names, err := segments(dir)
	must(t, err)
	last := names[len(names)-1]
	before, err := os.ReadFile(filepath.Join(dir, last))
	must(t, err)
	at, err := readHead(dir)
	must(t, err)
	var more []byte
	var ends []int
	for range 5 {
		more, at = appendLine(more, at, Event{Action: Read, Time: clock(), Detail: strings.Repeat("x", 150)}.encode())
		ends = append(ends, len(more))
	}
	rapid.Check(t, func(rt *rapid.T) {
		copied := t.TempDir()
		must(t, os.CopyFS(filepath.Join(copied, "log"), os.DirFS(dir)))
		log := filepath.Join(copied, "log")
		left := bytes.Clone(more)
		good := len(more) // bytes up to the first that is missing
		if rapid.Bool().Draw(rt, "cut") {
			good = rapid.IntRange(0, len(more)).Draw(rt, "bytes of the torn write")
			left = left[:good]
		} else {
			const block = 100
			for at := 0; at < len(more); at += block {
				if rapid.Bool().Draw(rt, "block lost") {
					clear(left[at:min(at+block, len(left))])
					good = min(good, at)
				}
			}
		}
		left = append(left, make([]byte, rapid.SampledFrom([]int{0, 512}).Draw(rt, "zeros behind"))...)
		must(t, os.WriteFile(filepath.Join(log, last), append(bytes.Clone(before), left...), 0o600))
		want := int64(21) // and every whole line, kept though nobody was told
		rest := 0
		for _, end := range ends {
			if end <= good {
				want++
				rest = end
			}
		}
		if n, err := Verify(log); n != want-1 || err != nil {
			rt.Errorf("before it is opened: %d entries, want %d; %v", n, want-1, err)
		}
		if len(bytes.Trim(left[rest:], "\x00")) > 0 {
			want++ // the entry that says so
		}
		l, err := Open(log, clock)
		if err != nil {
			rt.Fatal(err)
		}
		if err := l.Append(ctx, Event{Action: Read}); err != nil {
			rt.Fatal(err)
		}
		if err := l.Close(); err != nil {
			rt.Fatal(err)
		}
		if n, err := Verify(log); n != want || err != nil {
			rt.Errorf("%d entries, want %d; %v", n, want, err)
		}
		if b, err := os.ReadFile(filepath.Join(log, last)); err != nil || bytes.IndexByte(b, 0) >= 0 {
			rt.Errorf("a closed segment holds zeros; %v", err)
		}
	})
}

// What is on the disk while a log is open is what a crash leaves at that moment.
func TestLogEndsAtAnyMoment(t *testing.T) {
	dir, copied := t.TempDir(), t.TempDir()
	l, err := open(dir, clock, 4000)
	must(t, err)
	defer l.Close()
	for i := range 40 {
		must(t, l.Append(ctx, Event{Action: Read, Request: fmt.Sprint(i)}))
		if n, err := Verify(dir); n != int64(i+1) || err != nil {
			t.Fatalf("while it is written: %d entries of %d, %v", n, i+1, err)
		}
		image := filepath.Join(copied, fmt.Sprint(i))
		must(t, os.CopyFS(image, os.DirFS(dir)))
		again, err := open(image, clock, 4000)
		must(t, err)
		must(t, again.Append(ctx, Event{Action: Read}))
		if at := again.Head(); at.N != int64(i+2) {
			t.Fatalf("entry %d followed %d", at.N, i+1)
		}
		must(t, again.Close())
		if n, err := Verify(image, l.Head()); n != int64(i+2) || err != nil {
			t.Fatalf("after a crash: %d entries of %d, %v", n, i+2, err)
		}
	}
}

func TestOpenRefusesWhatNoCrashLeaves(t *testing.T) {
	dir := written(t, 20)
	names, err := segments(dir)
	must(t, err)
	last := filepath.Join(dir, names[len(names)-1])
	b, err := os.ReadFile(last)
	must(t, err)
	for name, bad := range map[string][]byte{
		"a changed line": bytes.Replace(b, []byte(`"read"`), []byte(`"open"`), 1),
		"a cut tail":     b[:bytes.LastIndexByte(b[:len(b)-1], '\n')+1],
	} {
		t.Run(name, func(t *testing.T) {
			must(t, os.WriteFile(last, bad, 0o600))
			l, err := Open(dir, clock)
			var broken *BrokenError
			if !errors.As(err, &broken) {
				t.Errorf("got %v", err)
			}
			if l != nil {
				l.Close()
			}
		})
	}
}

func TestTwoWritersAreRefused(t *testing.T) {
	dir := t.TempDir()
	l, err := Open(dir, clock)
	must(t, err)
	if _, err := Open(dir, clock); err == nil {
		t.Error("a second log opened the same folder")
	}
	must(t, l.Close())
	if err := l.Append(ctx, Event{}); !errors.Is(err, errClosed) {
		t.Errorf("after Close: %v", err)
	}
	l, err = Open(dir, clock)
	must(t, err)
	must(t, l.Close())
}

// A disk that fails: nothing is acknowledged, and nothing later hides it.
func TestFailedDiskFailsTheRead(t *testing.T) {
	l, err := Open(t.TempDir(), clock)
	must(t, err)
	must(t, l.Append(ctx, Event{Action: Read}))
	l.file.Close()
	for range 2 {
		if err := l.Append(ctx, Event{Action: Read}); err == nil {
			t.Error("acknowledged without a disk")
		}
	}
	if l.Err() == nil {
		t.Error("the log does not say that it stopped")
	}
	l.Close()
}

func TestCancelledAskerGetsNoAnswer(t *testing.T) {
	l, err := Open(t.TempDir(), clock)
	must(t, err)
	defer l.Close()
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if err := l.Append(gone, Event{Action: Read}); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func FuzzVerify(f *testing.F) {
	line, _ := appendLine(nil, genesis, Event{Action: Read, Time: clock()}.encode())
	f.Add(line, []byte("00000000000000000001 "+strings.Repeat("0", 64)+"\n"))
	f.Add([]byte("{\n\n"), []byte{})
	f.Fuzz(func(t *testing.T, segment, head []byte) {
		dir := t.TempDir()
		must(t, os.WriteFile(filepath.Join(dir, segmentName(1)), segment, 0o600))
		must(t, os.WriteFile(filepath.Join(dir, "head"), head, 0o600))
		n, err := Verify(dir)
		if l, e := Open(dir, clock); e == nil {
			must(t, l.Close())
			if m, again := Verify(dir); again != nil || m < n {
				t.Errorf("Verify gave %d, %v; after Open %d, %v", n, err, m, again)
			}
		}
	})
}
