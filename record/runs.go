package record

import (
	"cmp"
	"slices"
)

// What is known of one resource is a line of runs: in each, one content held
// from a first mark to at least a last one. A message that says again what is
// known moves a run's ends; one that says something new begins a run, and one
// that comes late goes where it belongs, so that the current content never
// depends on the order in which messages were applied.

// mark orders facts: when the source says it became true, then the number of
// the message that said so.
type mark struct{ at, seq int64 }

func (m mark) compare(o mark) int {
	return cmp.Or(cmp.Compare(m.at, o.at), cmp.Compare(m.seq, o.seq))
}

// run is one row of the version table.
type run struct {
	version     string
	first, last mark
	recorded    int64
	source      string
	deleted     bool
	body        int64 // names the content: equal bodies are equal content
	fresh       bool  // not in the database yet
	moved       bool  // its marks are not in the database yet
}

// order is the line's: by first mark, and among equals the one written later is later.
func (r run) order(o run) int {
	return cmp.Or(r.first.compare(o.first), cmp.Compare(r.body, o.body))
}

// fact is what a message says of a resource.
type fact struct {
	mark
	recorded int64
	source   string
	deleted  bool
	body     int64
	version  string // id of the first run with this content
}

// again names a later run of the same content.
type again func(version string, m mark) string

// free is a name that no run of the line has: a run may have got its name from this
// mark, which it lost again when others were settled inside it.
func (name again) free(line []run, version string, m mark) string {
	for {
		version = name(version, m)
		if !slices.ContainsFunc(line, func(r run) bool { return r.version == version }) {
			return version
		}
	}
}

// settle puts f into its place in the line, which is in order. changed tells
// whether there is a new run; ends that only moved are no new version.
func settle(line []run, f fact, name again) (next []run, changed bool) {
	begin := run{version: f.version, first: f.mark, last: f.mark, recorded: f.recorded, source: f.source, deleted: f.deleted, body: f.body, fresh: true}
	if slices.ContainsFunc(line, func(r run) bool { return r.body == f.body }) {
		begin.version = name.free(line, f.version, f.mark)
	}
	i := len(line) - 1
	for i >= 0 && line[i].first.compare(f.mark) > 0 {
		i--
	}
	following := i+1 < len(line) && line[i+1].body == f.body
	switch {
	case i >= 0 && line[i].body == f.body:
		if f.compare(line[i].last) > 0 {
			line[i].last = f.mark
			line[i].moved = true
		}
		return line, false
	case following && (i < 0 || f.compare(line[i].last) > 0):
		line[i+1].first = f.mark
		line[i+1].moved = true
		return line, false
	case i >= 0 && f.compare(line[i].last) < 0: // it splits a run
		rest := line[i]
		rest.first, rest.fresh, rest.moved = rest.last, true, false
		rest.version = name.free(line, rest.version, rest.first)
		line[i].last = line[i].first
		line[i].moved = true
		return slices.Insert(line, i+1, begin, rest), true
	}
	return slices.Insert(line, i+1, begin), true
}
