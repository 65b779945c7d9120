package registry

import (
	"context"
	"fmt"
	"sync"
	"time"

	"firebreak/access"
)

// recheck is how soon a change made by another node is noticed. A change made
// here counts from the next request on.
const recheck = time.Second

// memory is what was read of one version of the registry.
type memory struct {
	version int64
	checked time.Time // guarded by Registry.mu

	mu      sync.Mutex // guards what follows
	people  map[access.Login][]Place
	clients map[access.Login]access.Client
}

// memory is what may still be relied on: the version is asked for once a second.
func (r *Registry) memory(ctx context.Context) (*memory, error) {
	now := r.now()
	r.mu.Lock()
	m := r.known
	fresh := m != nil && now.Sub(m.checked).Abs() < recheck
	r.mu.Unlock()
	for !fresh {
		var version int64
		if err := r.db.QueryRow(ctx, `SELECT version FROM registry_version WHERE id = 1`).Scan(&version); err != nil {
			return nil, fmt.Errorf("registry: version: %w", err)
		}
		m, fresh = r.remember(version, now)
	}
	return m, nil
}

// remember is the memory of version, which was read from the database. It is
// none when the version was read before a change made here.
func (r *Registry) remember(version int64, now time.Time) (*memory, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if version < r.least {
		return nil, false
	}
	if r.known == nil || r.known.version != version {
		r.known = &memory{version: version, people: map[access.Login][]Place{}, clients: map[access.Login]access.Client{}}
	}
	r.known.checked = now
	return r.known, true
}

// forget drops what is remembered, after a change made here that led to version.
func (r *Registry) forget(version int64) {
	r.mu.Lock()
	r.known, r.least = nil, version
	r.mu.Unlock()
}

func (m *memory) places(l access.Login) ([]Place, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, ok := m.people[l]
	return p, ok
}

func (m *memory) keep(l access.Login, p []Place) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.people[l] = p
}

func (m *memory) client(l access.Login) (access.Client, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, ok := m.clients[l]
	return c, ok
}

func (m *memory) keepClient(l access.Login, c access.Client) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clients[l] = c
}
