package record

// memory is what the writer remembers of the charts it wrote to last, so that a
// message that repeats what is known (the same ward, physician, visit) reads
// nothing. It belongs to the writer's goroutine.
//
// It holds only what is committed, and nothing on PostgreSQL, where other nodes
// write too; a SQLite database is claimed by one record. A transaction takes out
// what it works on and puts it back when it is durable; what a failed one took
// is read again.
type memory struct {
	young, old map[string]*lines // by chart; old is dropped when young is full
	size       int               // of young, in resources
}

const (
	// memorySize bounds young and old: resources in charts that are remembered,
	// at some 400 bytes each.
	memorySize = 20_000
	// longChart is how many runs make a chart too long to remember: each of its
	// resources is looked up when it comes.
	longChart = 1000
)

func (m *memory) forget() { m.young, m.old, m.size = nil, nil, 0 }

// take hands out what is remembered of a chart, and remembers it no longer.
func (m *memory) take(chart string) *lines {
	if l := m.young[chart]; l != nil {
		delete(m.young, chart)
		m.size -= l.size
		return l
	}
	l := m.old[chart]
	delete(m.old, chart)
	return l
}

// put remembers a chart as it now is in the database.
func (m *memory) put(chart string, l *lines) {
	if l.size = len(l.of); !l.whole || l.size >= longChart {
		*l = lines{} // only that there is such a chart
	}
	l.size++
	if m.size+l.size > memorySize || m.young == nil {
		m.young, m.old, m.size = map[string]*lines{}, m.young, 0
	}
	m.young[chart] = l
	m.size += l.size
}
