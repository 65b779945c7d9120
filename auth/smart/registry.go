package smart

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"firebreak/internal/sqldb"
)

// State is how far a client has come.
type State string

const (
	Pending   State = "pending"   // it registered itself and may do nothing yet
	Active    State = "active"    // it may do what it is registered for
	Refused   State = "refused"   // nobody let it in
	Suspended State = "suspended" // it may do nothing until it is resumed
	Deleted   State = "deleted"
)

// Registry knows the clients: those of the configuration, and those that
// registered themselves, which an id of the configuration goes before. Whoever
// asks reads one row, the version, and what was read of that version before: so
// what is decided on one node holds on each from the next request on.
type Registry struct {
	db         *sqldb.DB
	now        func() time.Time
	log        *slog.Logger
	configured map[string]*client

	mu      sync.Mutex // guards what follows
	version int64
	known   map[string]entry
	writes  uint64         // of the database, before known was last seen to be true
	used    map[string]use // not yet written down
	meter   meter
}

// entry is a client with what was decided on it.
type entry struct {
	client *client // nil: it is in the configuration no more, or was deleted
	decision
}

// decision is a row of smart_client, or that there is none.
type decision struct {
	state               State
	registered, access  string
	address, by, reason string
	limits              Limits
	made, since         time.Time
}

// NewRegistry makes the tables and checks the clients of the configuration.
func NewRegistry(ctx context.Context, db *sqldb.DB, clients []Client, usual Limits, now func() time.Time, log *slog.Logger) (*Registry, error) {
	if err := migrate(ctx, db); err != nil {
		return nil, err
	}
	r := &Registry{db: db, now: now, log: log, configured: map[string]*client{}, used: map[string]use{}, meter: meter{usual: usual}}
	for _, one := range clients {
		known, err := one.checked()
		if err != nil {
			return nil, fmt.Errorf("smart: app %q: %w", one.ID, err)
		}
		if r.configured[one.ID] != nil {
			return nil, fmt.Errorf("smart: a second app %q", one.ID)
		}
		r.configured[one.ID] = known
	}
	return r, nil
}

// Active tells whether a client may go on: false for one that waits for approval,
// was refused, suspended or deleted. Of a client that nobody decided on, and that is
// another's to know (the registry of worksites, the provider), it is true. What it
// says holds on every node from the moment of the decision.
func (r *Registry) Active(ctx context.Context, id string) (bool, error) {
	if r == nil {
		return true, nil
	}
	e, ok, err := r.entry(ctx, id)
	return !ok || e.state == Active, err
}

const selectVersion = `SELECT version FROM smart_version WHERE id = 'clients'`

// entry is what is known of a client now.
func (r *Registry) entry(ctx context.Context, id string) (entry, bool, error) {
	all, err := r.all(ctx)
	e, ok := all[id]
	return e, ok, err
}

// all are the clients, not to be changed. Of a database that is this process's alone
// what was read stays true until it is written to.
func (r *Registry) all(ctx context.Context) (map[string]entry, error) {
	writes, ours := r.db.Writes()
	r.mu.Lock()
	known := r.known
	still := ours && known != nil && r.writes == writes
	r.mu.Unlock()
	if still {
		return known, nil
	}
	known, err := r.read(ctx)
	if err == nil {
		r.mu.Lock()
		r.writes = max(r.writes, writes)
		r.mu.Unlock()
	}
	return known, err
}

func (r *Registry) read(ctx context.Context) (map[string]entry, error) {
	var version int64
	if err := r.db.QueryRow(ctx, selectVersion).Scan(&version); err != nil {
		return nil, fmt.Errorf("smart: clients: %w", err)
	}
	return r.at(ctx, version)
}

// at are the clients as of a version that was just read, or of a later one.
func (r *Registry) at(ctx context.Context, version int64) (map[string]entry, error) {
	r.mu.Lock()
	known, held := r.known, r.version
	r.mu.Unlock()
	if known != nil && held >= version {
		return known, nil
	}
	fresh := map[string]entry{}
	err := r.db.Snapshot(ctx, func(tx *sqldb.Tx) error {
		if err := tx.QueryRow(ctx, selectVersion).Scan(&version); err != nil {
			return err
		}
		return tx.Each(ctx, func(scan func(...any) error) error {
			var id string
			d, err := scanDecision(scan, &id)
			fresh[id] = entry{decision: d}
			return err
		}, selectDecisions)
	})
	if err != nil {
		return nil, fmt.Errorf("smart: clients: %w", err)
	}
	for id, e := range fresh {
		switch before := known[id]; {
		case e.registered == "":
		case before.registered == e.registered && before.client != nil:
			e.client = before.client // with the keys it fetched
		default:
			if e.client, err = readRegistered(id, e.registered); err != nil {
				r.log.Error("smart: a registration does not hold any more; the client may do nothing", "client", id, "error", err)
			}
		}
		fresh[id] = e
	}
	for id, c := range r.configured {
		e := fresh[id]
		if e.client = c; e.state != Suspended {
			e.state = Active
		}
		e.registered, e.access = "", ""
		fresh[id] = e
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil || version > r.version {
		r.known, r.version = fresh, version
	}
	return r.known, nil
}

const selectDecisions = `SELECT id, state, registered, access, address, api, token, made, since, who, reason FROM smart_client`

func scanDecision(scan func(...any) error, id *string) (d decision, err error) {
	var made, since int64
	err = scan(id, &d.state, &d.registered, &d.access, &d.address, &d.limits.API, &d.limits.Token, &made, &since, &d.by, &d.reason)
	d.made, d.since = time.UnixMicro(made), time.UnixMicro(since)
	return d, err
}

// client is the client if it may go on now, else nil.
func (r *Registry) client(ctx context.Context, id string) (*client, error) {
	e, _, err := r.entry(ctx, id)
	if e.state != Active {
		return nil, err
	}
	return e.client, err
}

// Listed is a client as the operators see it.
type Listed struct {
	Client
	State      State
	Registered bool // it registered itself
	Contacts   []string
	Method     string // by which it proves itself
	Address    string // from which it registered
	Own        Limits // set for it alone; nought is what holds for all
	Limits     Limits // in force
	Made       time.Time
	Since      time.Time // when the state was reached; zero: from the start
	By, Reason string
	Requests   int64 // so far
	Refused    int64 // of them, because of a limit or its state
	Last       time.Time
}

// List are all clients but those deleted: what waits first, then by name.
func (r *Registry) List(ctx context.Context) ([]Listed, error) {
	if err := r.flush(ctx); err != nil {
		return nil, err
	}
	entries, err := r.all(ctx)
	if err != nil {
		return nil, err
	}
	var all []Listed
	for _, e := range entries {
		if e.client == nil || e.state == Deleted {
			continue
		}
		l := Listed{Client: e.client.Client, State: e.state, Registered: e.registered != "", Contacts: e.client.contacts, Method: e.client.method(),
			Address: e.address, Own: e.limits, Limits: r.meter.limits(e), By: e.by, Reason: e.reason}
		l.SecretHash, l.Keys = "", nil // no operator needs them
		if !e.made.IsZero() {
			l.Made, l.Since = e.made, e.since
		}
		all = append(all, l)
	}
	uses := map[string]use{}
	err = r.db.Each(ctx, func(scan func(...any) error) error {
		var id string
		var u use
		if err := scan(&id, &u.requests, &u.refused, &u.last); err != nil {
			return err
		}
		uses[id] = u
		return nil
	}, `SELECT client, requests, refused, last FROM smart_use`)
	if err != nil {
		return nil, fmt.Errorf("smart: list clients: %w", err)
	}
	for i := range all {
		if u, ok := uses[all[i].ID]; ok {
			all[i].Requests, all[i].Refused, all[i].Last = u.requests, u.refused, time.UnixMicro(u.last)
		}
	}
	slices.SortFunc(all, func(a, b Listed) int {
		if p, q := a.State == Pending, b.State == Pending; p != q {
			if p {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Name+"\x00"+a.ID, b.Name+"\x00"+b.ID)
	})
	return all, nil
}

// Act is what an operator decides on a client.
type Act string

const (
	Approve Act = "approve"
	Refuse  Act = "refuse"
	Suspend Act = "suspend"
	Resume  Act = "resume"
	Delete  Act = "delete"
)

// leads are the states from which an act leads to another.
var leads = map[Act]struct {
	from []State
	to   State
}{
	Approve: {[]State{Pending, Refused}, Active},
	Refuse:  {[]State{Pending}, Refused},
	Suspend: {[]State{Active}, Suspended},
	Resume:  {[]State{Suspended}, Active},
	Delete:  {[]State{Pending, Active, Refused, Suspended}, Deleted},
}

// Errors of what an operator decides.
var (
	ErrClient = errors.New("smart: no such client, or it is not in a state for that")
	ErrName   = errors.New("smart: an app that may go on has that name, or one like it")
)

// Decide does an act on a client, of which every node knows from then on. Its
// tokens stay as they are under suspension, and none opens anything until it is
// resumed; of a client that is deleted all end. A client of the configuration can be
// suspended and resumed.
func (r *Registry) Decide(ctx context.Context, id string, do Act, who, reason string) error {
	way, ok := leads[do]
	if !ok {
		return ErrClient
	}
	return r.change(ctx, id, func(tx *sqldb.Tx, d *decision) error {
		if r.configured[id] != nil && d.state != Suspended {
			d.state = Active
		}
		if !slices.Contains(way.from, d.state) || r.configured[id] != nil && do == Delete {
			return ErrClient
		}
		if do == Approve {
			c, err := readRegistered(id, d.registered)
			if err != nil {
				return err
			}
			if taken, err := r.taken(ctx, tx, c.Name, id); err != nil || taken {
				return errors.Join(err, ErrName)
			}
		}
		d.state, d.by, d.reason, d.since = way.to, who, reason, r.now()
		if do != Delete {
			return nil
		}
		d.registered, d.access, d.address = "", "", ""
		_, err := tx.Exec(ctx, `UPDATE smart_grant SET revoked = $2 WHERE client = $1 AND revoked = 0`, id, r.now().UnixMicro())
		return err
	})
}

// Acts are what can be done about a client.
func (l Listed) Acts() (all []Act) {
	for _, do := range []Act{Approve, Refuse, Suspend, Resume, Delete} {
		if slices.Contains(leads[do].from, l.State) && (do != Delete || l.Registered) {
			all = append(all, do)
		}
	}
	return all
}

// SetLimits gives a client limits of its own; nought is what holds for all.
func (r *Registry) SetLimits(ctx context.Context, id string, own Limits) error {
	if own.API < 0 || own.Token < 0 || own.API > MaxLimit || own.Token > MaxLimit {
		return ErrClient
	}
	return r.change(ctx, id, func(_ *sqldb.Tx, d *decision) error {
		d.limits = own
		return nil
	})
}

const (
	// countVersion also has those who change clients wait for one another.
	countVersion   = `UPDATE smart_version SET version = version + 1 WHERE id = 'clients'`
	selectDecision = selectDecisions + ` WHERE id = $1 AND state <> 'deleted'`
	writeDecision  = `INSERT INTO smart_client (id, state, registered, access, address, api, token, made, since, who, reason)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT (id) DO UPDATE SET state = $2, registered = $3, access = $4, address = $5, api = $6, token = $7, made = $8, since = $9, who = $10, reason = $11`
)

// change has f change what is decided on one client; a client of the configuration
// may have nothing decided yet.
func (r *Registry) change(ctx context.Context, id string, f func(*sqldb.Tx, *decision) error) error {
	err := r.db.Write(ctx, func(tx *sqldb.Tx) error {
		if _, err := tx.Exec(ctx, countVersion); err != nil {
			return err
		}
		var d decision
		found := false
		err := tx.Each(ctx, func(scan func(...any) error) (err error) {
			found = true
			d, err = scanDecision(scan, new(string))
			return err
		}, selectDecision, id)
		if err != nil {
			return err
		}
		if !found {
			if r.configured[id] == nil {
				return ErrClient
			}
			d = decision{state: Active, made: r.now(), since: r.now()}
		}
		if err := f(tx, &d); err != nil {
			return err
		}
		return write(ctx, tx, id, d)
	})
	if err != nil && !errors.Is(err, ErrClient) && !errors.Is(err, ErrName) {
		return fmt.Errorf("smart: decide on a client: %w", err)
	}
	return err
}

func write(ctx context.Context, tx *sqldb.Tx, id string, d decision) error {
	_, err := tx.Exec(ctx, writeDecision, id, string(d.state), d.registered, d.access, d.address, int64(d.limits.API), int64(d.limits.Token),
		d.made.UnixMicro(), d.since.UnixMicro(), d.by, d.reason)
	return err
}

// taken tells whether another client that may go on, or is suspended, is called so
// as far as a person sees.
func (r *Registry) taken(ctx context.Context, tx *sqldb.Tx, name, but string) (bool, error) {
	found := false
	for id, c := range r.configured {
		found = found || id != but && alike(c.Name, name)
	}
	err := tx.Each(ctx, func(scan func(...any) error) error {
		var id, registered string
		if err := scan(&id, &registered); err != nil {
			return err
		}
		var was registration
		if err := json.Unmarshal([]byte(registered), &was); err != nil {
			return err
		}
		found = found || id != but && alike(was.Metadata.Name, name)
		return nil
	}, `SELECT id, registered FROM smart_client WHERE registered <> '' AND state IN ('active', 'suspended')`)
	return found, err
}
