package adapters

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"firebreak/adapters/hl7"
	"firebreak/adapters/sheet"
)

// Folder takes HL7 v2 messages from files that are put into a folder, for
// sources that have no MLLP: single messages, several, batches (FHS, BHS), with
// or without MLLP framing, any ends of lines; or of files of rows (CSV).
//
// A file is taken when it has not changed for a while and is not named as one
// that is being written. Its messages go into the inbox one after another; when
// all are on disk the file moves to done, or to failed when something in it
// could not be taken, with a report beside it that names lines and reasons. A
// process that dies between the two takes the file again, and the inbox knows
// its messages.
type Folder struct {
	HL7
	Dir    string
	Settle time.Duration               // without change, after which a file is whole
	Every  time.Duration               // between looks
	Open   func(context.Context) error // waits until a look may begin; nil: any time
	CSV    *sheet.Plan                 // files hold rows, each to become a message; nil: messages

	done, failed atomic.Int64
	seen         map[string]look // files that wait
}

// look is a file as it was seen first in its present state.
type look struct {
	size     int64
	modified time.Time
	since    time.Time
}

const (
	doneFolder   = "done"
	failedFolder = "failed"
	reportEnd    = ".report.txt"
	maxReport    = 1000 // lines
)

// unfinished are the ends of names that files have while they are written.
var unfinished = []string{".tmp", ".part", ".partial", ".filepart", ".writing", "~", reportEnd}

// Counts tells how many files were taken whole, and how many were not, since
// this process began.
func (f *Folder) Counts() (done, failed int64) { return f.done.Load(), f.failed.Load() }

// Run looks into the folder until ctx ends.
func (f *Folder) Run(ctx context.Context) {
	for {
		if f.Open != nil && f.Open(ctx) != nil {
			return
		}
		if err := f.Look(ctx); err != nil && ctx.Err() == nil {
			f.log().Error("a folder cannot be read to the end; it is looked into again", "error", err)
		}
		select {
		case <-time.After(f.Every):
		case <-ctx.Done():
			return
		}
	}
}

// Look takes the files that are whole, oldest first.
func (f *Folder) Look(ctx context.Context) error {
	root, err := os.OpenRoot(f.Dir)
	if err != nil {
		return fmt.Errorf("adapters: folder: %w", err)
	}
	defer root.Close()
	whole, err := f.whole(root)
	if err != nil {
		return fmt.Errorf("adapters: folder: %w", err)
	}
	var unread error
	for _, name := range whole {
		err := f.take(ctx, root, name)
		if path, ok := errors.AsType[*fs.PathError](err); ok { // one file's fault, which stops no other
			unread = fmt.Errorf("adapters: folder: a file stays where it is: %s: %w", path.Op, path.Err) // a name may be a patient's
			continue
		}
		if err != nil {
			return err
		}
		delete(f.seen, name)
	}
	return unread
}

// whole lists the files that have not changed for a while, oldest first.
func (f *Folder) whole(root *os.Root) ([]string, error) {
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return nil, err
	}
	now := f.Now()
	var whole []string
	waiting := map[string]look{}
	for _, e := range entries {
		name := e.Name()
		named := func(end string) bool { return strings.HasSuffix(strings.ToLower(name), end) }
		if !e.Type().IsRegular() || strings.HasPrefix(name, ".") || slices.ContainsFunc(unfinished, named) {
			continue
		}
		info, err := e.Info()
		if err != nil {
			continue // gone since
		}
		l := look{info.Size(), info.ModTime(), now}
		if before, ok := f.seen[name]; ok && before.size == l.size && before.modified.Equal(l.modified) {
			l.since = before.since
		}
		waiting[name] = l
		if now.Sub(l.since) >= f.Settle {
			whole = append(whole, name)
		}
	}
	f.seen = waiting
	slices.SortFunc(whole, func(a, b string) int {
		return cmp.Or(waiting[a].modified.Compare(waiting[b].modified), strings.Compare(a, b))
	})
	return whole, nil
}

// take takes one file. An error leaves it where it is, and so does what became of it
// meanwhile: what was not read may not look as if it were taken.
func (f *Folder) take(ctx context.Context, root *os.Root, name string) error {
	in, err := root.Open(name)
	if err != nil {
		return fmt.Errorf("adapters: folder: %w", err)
	}
	defer in.Close()
	was, err := in.Stat()
	if err != nil {
		return fmt.Errorf("adapters: folder: %w", err)
	}
	if l := f.seen[name]; was.Size() != l.size || !was.ModTime().Equal(l.modified) {
		return nil
	}
	r, err := f.read(ctx, in, name)
	if err != nil {
		return err
	}
	if is, err := root.Lstat(name); err != nil || !same(was, is) {
		return nil
	}
	return f.move(root, name, was, r)
}

// same tells whether a file is what it was.
func same(was, is fs.FileInfo) bool {
	return os.SameFile(was, is) && was.Size() == is.Size() && was.ModTime().Equal(is.ModTime())
}

// read puts what a file holds into the inbox. Its error is not the file's.
func (f *Folder) read(ctx context.Context, in *os.File, name string) (r report, err error) {
	if f.CSV != nil {
		err = f.rows(ctx, &r, in, name)
	} else {
		err = f.messages(ctx, &r, in, name)
	}
	return r, err
}

func (f *Folder) rows(ctx context.Context, r *report, in *os.File, name string) error {
	info, err := in.Stat()
	if err != nil {
		return fmt.Errorf("adapters: folder: %w", err)
	}
	for row := range f.CSV.Rows(in, info.ModTime()) {
		r.messages++
		if row.Fault != nil {
			r.say(row.Line, row.Fault.Error())
		} else if err := f.message(ctx, r, fmt.Sprintf("file %s line %d", name, row.Line), row.Line, row.Message); err != nil {
			return err
		}
	}
	return nil
}

func (f *Folder) messages(ctx context.Context, r *report, in *os.File, name string) error {
	s := hl7.NewScanner(in, 0)
	for s.Scan() {
		p := s.Part()
		switch p.Kind {
		case hl7.MessagePart:
			r.messages++
			if err := f.message(ctx, r, fmt.Sprintf("file %s #%d", name, r.messages), p.Line, p.Message()); err != nil {
				return err
			}
		case hl7.JunkPart:
			if !p.Blank() {
				r.say(p.Line, "lines that belong to no message")
			}
		case hl7.TrailerPart:
			if p.Declared >= 0 && p.Declared != p.Seen {
				r.say(p.Line, fmt.Sprintf("the trailer says %d, there are %d", p.Declared, p.Seen))
			}
		}
	}
	switch {
	case errors.Is(s.Err(), hl7.ErrTooLong):
		r.say(0, "what follows is one message that is too long")
	case s.Err() != nil:
		return fmt.Errorf("adapters: folder: %w", s.Err())
	case r.messages == 0:
		r.say(0, "there is no message")
	}
	return nil
}

// message puts one message into the inbox. Its error is the inbox's.
func (f *Folder) message(ctx context.Context, r *report, peer string, line int, body []byte) error {
	m, problem := hl7.Parse(body)
	if problem != nil {
		m = nil
	}
	err := f.keep(ctx, body, m, problem, peer)
	refused, ok := errors.AsType[*hl7.Rejection](err)
	switch {
	case ok:
		r.say(line, refused.Error())
	case err != nil:
		return err
	case problem != nil:
		r.say(line, "is held: "+problem.Error())
	default:
		r.taken++
	}
	return nil
}

// report is what became of a file.
type report struct {
	messages, taken int
	faults          []string
}

func (r *report) say(line int, why string) {
	if line > 0 {
		why = fmt.Sprintf("line %d: %s", line, why)
	}
	r.faults = append(r.faults, why)
}

func (r *report) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d messages, %d taken\n", r.messages, r.taken)
	for i, why := range r.faults {
		if i == maxReport {
			fmt.Fprintf(&b, "and %d more\n", len(r.faults)-i)
			break
		}
		fmt.Fprintln(&b, why)
	}
	return b.String()
}

// move puts a file, and the report of it, where it belongs; over no other. Another that
// took its place goes back.
func (f *Folder) move(root *os.Root, name string, was fs.FileInfo, r report) error {
	folder, count := doneFolder, &f.done
	if len(r.faults) > 0 {
		folder, count = failedFolder, &f.failed
	}
	if err := root.Mkdir(folder, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("adapters: folder: %w", err)
	}
	to := path.Join(folder, name)
	for n := 2; ; n++ {
		if _, err := root.Lstat(to); errors.Is(err, fs.ErrNotExist) {
			break
		} else if err != nil {
			return fmt.Errorf("adapters: folder: %w", err)
		}
		to = path.Join(folder, fmt.Sprintf("%s.%d", name, n))
	}
	if err := root.WriteFile(to+reportEnd, []byte(r.text()), 0o600); err != nil {
		return fmt.Errorf("adapters: folder: %w", err)
	}
	if err := root.Rename(name, to); err != nil {
		return fmt.Errorf("adapters: folder: %w", err)
	}
	if is, err := root.Lstat(to); err == nil && !same(was, is) {
		return f.putBack(root, to, name)
	}
	count.Add(1)
	if len(r.faults) > 0 {
		f.log().Warn("a file could not be taken whole", "messages", r.messages, "taken", r.taken, "faults", len(r.faults))
	}
	return nil
}

// putBack has a file lie in the folder again that was moved and not read: under its
// name, or beside another that has it by now.
func (f *Folder) putBack(root *os.Root, from, name string) error {
	to := name
	for n := 2; ; n++ {
		err := root.Link(from, to) // over no other
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("adapters: folder: %w", err)
		}
		to = fmt.Sprintf("%s.%d", name, n)
	}
	for _, name := range []string{from, from + reportEnd} {
		if err := root.Remove(name); err != nil {
			return fmt.Errorf("adapters: folder: %w", err)
		}
	}
	return nil
}
