package viewer

import (
	"sync"
	"time"

	"firebreak/policy"
	"firebreak/viewer/clinical"
)

// models keeps what was read of the views that are asked for. A view is
// immutable and stands for one chart as one kind of caller may see it; the
// record hands the same view to everyone who sees the same. So a reading is
// kept by its view, and can never be shown to someone with another.
type models struct {
	say clinical.Words

	mu   sync.Mutex // guards the rest
	kept map[*policy.View]*clinical.Chart
	size int // resources in their views
}

const (
	// keptModels bounds memory, in resources at some 1 kB each: a model keeps its
	// view, even when the record has let go of it because the chart grew.
	keptModels = 20_000
	modelAge   = 5 * time.Minute // ages and "coming" depend on the clock
)

func newModels(say clinical.Words) *models {
	return &models{say: say, kept: map[*policy.View]*clinical.Chart{}}
}

func (m *models) of(view *policy.View, now time.Time) *clinical.Chart {
	m.mu.Lock()
	c := m.kept[view]
	m.mu.Unlock()
	if c != nil && now.Sub(c.ReadAt()).Abs() < modelAge {
		return c
	}
	c = clinical.Of(view, now, m.say)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.kept[view] == nil {
		m.size += len(view.All())
	}
	if m.size > keptModels {
		clear(m.kept)
		m.size = len(view.All())
	}
	m.kept[view] = c
	return c
}
