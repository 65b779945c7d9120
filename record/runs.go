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
	recorded    int64 // when the first message came that said so
	source      string
	deleted     bool
	body        int64 // names the content: equal bodies are equal content
	fresh       bool  // not in the database yet
	moved       bool  // its marks and time are not in the database yet
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

// free is the name of a run that f begins: its content's, or where that has a run
// already, one that none has. A run may have got its name from this mark, which it
// lost again when others were settled inside it.
func (name again) free(line []run, f fact) string {
	version := f.version
	for slices.ContainsFunc(line, func(r run) bool { return r.version == version || version == f.version && r.body == f.body }) {
		version = name(version, f.mark)
	}
	return version
}

// order is that in which facts stand in a line: of what one message says at a time,
// the content written later is later.
func (f fact) order(o fact) int {
	return cmp.Or(f.compare(o.mark), cmp.Compare(f.body, o.body))
}

// run is what f alone makes.
func (f fact) run(version string) run {
	return run{version: version, first: f.mark, last: f.mark, recorded: f.recorded, source: f.source, deleted: f.deleted, body: f.body, fresh: true}
}

// lineOf is the line that facts make, in whatever order and however often they are
// given: a run for those that stand beside each other and say the same, recorded when
// the first of them came. So what stands between two runs and is withheld leaves
// nothing behind: who does not see it finds both as one, with the earlier time.
func lineOf(facts []fact, name again) (line []run) {
	for _, f := range slices.SortedFunc(slices.Values(facts), fact.order) {
		if n := len(line) - 1; n >= 0 && line[n].body == f.body {
			line[n].last, line[n].recorded = f.mark, min(line[n].recorded, f.recorded)
			continue
		}
		line = append(line, f.run(name.free(line, f)))
	}
	return line
}

// settle puts f into its place in the line, which is lineOf the facts before, and makes
// it lineOf them and f; but for the names of runs, of which only those that are new are
// given. changed tells whether there is a new run; ends that only moved are no new
// version. parted says that f belongs inside a run of another content: which facts lie
// before it and which behind, the run does not tell, and the line stays as it was.
func settle(line []run, f fact, name again) (next []run, changed, parted bool) {
	i := len(line) - 1
	for i >= 0 && f.order(fact{mark: line[i].first, body: line[i].body}) < 0 {
		i--
	}
	in := -1
	switch inside := i >= 0 && f.order(fact{mark: line[i].last, body: line[i].body}) < 0; {
	case i >= 0 && line[i].body == f.body:
		in = i
	case inside:
		return line, false, true
	case i+1 < len(line) && line[i+1].body == f.body:
		in = i + 1
	default:
		return slices.Insert(line, i+1, f.run(name.free(line, f))), true, false
	}
	r := line[in]
	if f.compare(r.first) < 0 {
		r.first = f.mark
	}
	if f.compare(r.last) > 0 {
		r.last = f.mark
	}
	r.recorded = min(r.recorded, f.recorded)
	r.moved = r.moved || r != line[in]
	line[in] = r
	return line, false, false
}
