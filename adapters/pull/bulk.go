package pull

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"firebreak/adapters/peer"
	"firebreak/fhir"
	"firebreak/inbox"
)

const (
	maxLine   = 32 << 20         // bytes of a line of NDJSON
	maxFiles  = 10_000           // of an export
	lines     = 500              // taken at a time
	pollLeast = 5 * time.Second  // between questions whether an export is ready
	pollMost  = 10 * time.Minute //
	exportMay = 48 * time.Hour   // take; then it is begun anew
)

// exporting is how far Bulk Data exports were read.
type exporting struct {
	Since time.Time `json:"since,omitzero"` // what changed before is taken
	Full  time.Time `json:"full,omitzero"`  // when the last one of everything was
	Ended time.Time `json:"ended,omitzero"` // when the last one was
	Round int64     `json:"round,omitzero"`
	Job   *job      `json:"job,omitzero"` // under way
}

// job is one export.
type job struct {
	Began  time.Time    `json:"began"`
	Status string       `json:"status"`         // address to ask for it
	All    bool         `json:"all,omitzero"`   // it is of everything
	At     time.Time    `json:"at,omitzero"`    // what it holds is true of; zero: it is not ready
	Files  []exportFile `json:"files,omitzero"` // of it, those of deletions last
	Done   int          `json:"done,omitzero"`  // of Files
	Lines  int          `json:"lines,omitzero"` // of the file being read
}

type exportFile struct {
	URL     string `json:"url"`
	Type    string `json:"type"`
	Count   int    `json:"count,omitzero"`
	Deleted bool   `json:"deleted,omitzero"`
}

const exportName = "$export"

// export begins an export when it is time, waits for it, and takes its files,
// line after line; what is taken is kept as it goes.
//
// Source: Bulk Data Access 2.0, export.
func (f *Feed) export(ctx context.Context) error {
	var s exporting
	if err := f.load(ctx, exportName, &s); err != nil {
		return err
	}
	if s.Job == nil {
		if f.Server.Now().Sub(s.Ended) < f.Every {
			return nil
		}
		if err := f.kickOff(ctx, &s); err != nil {
			return err
		}
	}
	err := f.await(ctx, &s)
	for err == nil && s.Job.Done < len(s.Job.Files) {
		err = f.takeFile(ctx, &s)
	}
	if err == nil {
		err = f.endExport(ctx, &s)
	}
	if peer.IsGone(err) || err == nil && s.Job != nil || s.Job != nil && f.Server.Now().Sub(s.Job.Began) > exportMay {
		s.Job = nil // it did not last, or never ends: another is begun
		return errors.Join(errors.New("pull: an export did not last until it was read; another is begun"), f.keep(ctx, exportName, s, inbox.Asked{}))
	}
	return err
}

func (f *Feed) kickOff(ctx context.Context, s *exporting) error {
	now := f.Server.Now()
	j := &job{Began: now, All: s.Since.IsZero() || now.Sub(s.Full) >= f.List}
	q := url.Values{"_type": {strings.Join(f.Types, ",")}, "_outputFormat": {"application/fhir+ndjson"}}
	if !j.All {
		q.Set("_since", s.Since.Add(-f.Overlap).UTC().Format(time.RFC3339))
	}
	r, err := f.server.Ask(ctx, http.MethodGet, f.server.At(f.Export, q), http.Header{"Accept": {peer.FHIRJSON}, "Prefer": {"respond-async"}}, nil)
	if err != nil {
		return fmt.Errorf("%s: %w", exportName, err)
	}
	r.Body.Close()
	u, err := f.server.Link(r.Header.Get("Content-Location"))
	if err != nil || r.StatusCode != http.StatusAccepted {
		return errors.New("pull: the server began no export")
	}
	j.Status = u.String()
	s.Job = j
	if j.All {
		s.Round++
	}
	return f.keep(ctx, exportName, s, inbox.Asked{})
}

// await asks until the export is ready, as often as the server says.
func (f *Feed) await(ctx context.Context, s *exporting) error {
	for pause := pollLeast; s.Job.At.IsZero(); pause = min(2*pause, pollMost) {
		r, err := f.server.Ask(ctx, http.MethodGet, s.Job.Status, http.Header{"Accept": {"application/json"}}, nil)
		if err != nil {
			return fmt.Errorf("%s: %w", exportName, err)
		}
		if r.StatusCode == http.StatusAccepted {
			r.Body.Close()
			if f.Server.Now().Sub(s.Job.Began) > exportMay {
				return errors.New("pull: the export takes too long")
			}
			wait := pause
			if r.Header.Get("Retry-After") != "" {
				r.StatusCode = http.StatusServiceUnavailable // read as with any other answer
				wait = min(max(pollLeast, peer.Backoff(time.Second, time.Second, 0, r)), peer.MaxPatience)
			}
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return ctx.Err()
			}
			continue
		}
		body, err := io.ReadAll(io.LimitReader(r.Body, peer.MaxAnswer))
		r.Body.Close()
		if err != nil {
			return errors.New("pull: the list of an export's files was cut off")
		}
		if err := f.ready(s.Job, body); err != nil {
			return err
		}
		if err := f.keep(ctx, exportName, s, inbox.Asked{}); err != nil {
			return err
		}
	}
	return nil
}

// ready reads the list of an export's files.
func (f *Feed) ready(j *job, body []byte) error {
	type output struct {
		Type  string `json:"type"`
		URL   string `json:"url"`
		Count int    `json:"count"`
	}
	var list struct {
		At      string   `json:"transactionTime"`
		Output  []output `json:"output"`
		Deleted []output `json:"deleted"`
		Error   []output `json:"error"`
	}
	if err := json.Unmarshal(body, &list); err != nil || instant(list.At).IsZero() || len(list.Output)+len(list.Deleted) > maxFiles {
		return errors.New("pull: the list of an export's files is not what it should be")
	}
	if len(list.Error) > 0 {
		f.log().Warn("the server says that parts of an export failed", "files", len(list.Error))
	}
	j.Files = nil
	for _, o := range list.Output {
		if slices.Contains(f.Types, o.Type) {
			j.Files = append(j.Files, exportFile{URL: o.URL, Type: o.Type, Count: o.Count})
		}
	}
	for _, o := range list.Deleted {
		j.Files = append(j.Files, exportFile{URL: o.URL, Type: "Bundle", Deleted: true})
	}
	j.At = instant(list.At)
	return nil
}

// takeFile takes one file of the export, from the line where it stopped.
func (f *Feed) takeFile(ctx context.Context, s *exporting) error {
	j := s.Job
	file := j.Files[j.Done]
	r, err := f.server.File(ctx, file.URL)
	if err != nil {
		return fmt.Errorf("a file of the export: %w", err)
	}
	defer r.Body.Close()
	in := bufio.NewScanner(r.Body)
	in.Buffer(make([]byte, 0, 1<<20), maxLine)
	n := 0
	var some [][]byte
	flush := func() error {
		if err := f.takeLines(ctx, s, file, some, n); err != nil {
			return err
		}
		some = nil
		return nil
	}
	for in.Scan() {
		if len(strings.TrimSpace(in.Text())) == 0 {
			continue
		}
		if n++; n <= j.Lines {
			continue
		}
		some = append(some, slices.Clone(in.Bytes()))
		if len(some) == lines {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if in.Err() != nil {
		return errors.New("pull: a file of the export was cut off, or has too long a line")
	}
	if n < file.Count {
		return errors.New("pull: a file of the export holds fewer resources than its list says")
	}
	if err := flush(); err != nil {
		return err
	}
	j.Done, j.Lines = j.Done+1, 0
	return f.keep(ctx, exportName, s, inbox.Asked{})
}

// takeLines takes lines of a file, the last of which is number n.
func (f *Feed) takeLines(ctx context.Context, s *exporting, file exportFile, some [][]byte, n int) error {
	byType := map[string][]found{}
	for _, b := range some {
		if file.Deleted {
			r, err := fhir.Parse(b)
			if err != nil {
				return errPage
			}
			for _, typ := range f.Types {
				p, err := readPage(r, typ)
				if err != nil {
					return err
				}
				byType[typ] = append(byType[typ], p.all...)
			}
			continue
		}
		if x, other := readFound(b, file.Type); !other {
			byType[file.Type] = append(byType[file.Type], x)
		}
	}
	for typ, all := range byType {
		taken, err := f.take(ctx, typ, s.Round, all, s.Job.At)
		if err != nil {
			return err
		}
		if err := f.keep(ctx, exportName, s, taken); err != nil {
			return err
		}
	}
	s.Job.Lines = n
	return f.keep(ctx, exportName, s, inbox.Asked{})
}

// endExport deletes what an export of everything did not hold, and tells the
// server that it may forget the export.
func (f *Feed) endExport(ctx context.Context, s *exporting) error {
	j := s.Job
	if j.All {
		for _, typ := range f.Types {
			if err := f.notExported(ctx, typ, s); err != nil {
				return fmt.Errorf("%s: %w", typ, err)
			}
		}
		s.Full = f.Server.Now()
	}
	s.Since, s.Ended, s.Job = j.At, f.Server.Now(), nil
	if err := f.keep(ctx, exportName, s, inbox.Asked{}); err != nil {
		return err
	}
	if r, err := f.server.Ask(ctx, http.MethodDelete, j.Status, http.Header{"Accept": {peer.FHIRJSON}}, nil); err == nil {
		r.Body.Close() // and if not: it forgets by itself
	}
	return nil
}

// notExported deletes what was known before an export of everything and is not
// in it.
func (f *Feed) notExported(ctx context.Context, typ string, s *exporting) error {
	if err := f.plausible(ctx, typ, s.Round); err != nil {
		return err
	}
	for after := ""; ; {
		all, err := f.Store.Unseen(ctx, f.Source, typ, s.Round, after, unseenPage)
		if err != nil || len(all) == 0 {
			return err
		}
		var found []found
		for _, k := range all {
			if !k.Updated.After(s.Job.At) {
				found = append(found, gone(k, s.Job.At.Truncate(time.Second)))
			}
		}
		taken, err := f.take(ctx, typ, s.Round, found, s.Job.At)
		if err != nil {
			return err
		}
		after = all[len(all)-1].ID
		if err := f.keep(ctx, exportName, s, taken); err != nil {
			return err
		}
	}
}
