package registry_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"firebreak/access"
	"firebreak/access/accesstest"
	"firebreak/auth"
	"firebreak/internal/pgtest"
	"firebreak/registry"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

var now = accesstest.Now

func openRegistry(t testing.TB, dsn string) *registry.Registry {
	t.Helper()
	r, err := registry.Open(t.Context(), dsn, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func onBoth(t *testing.T, f func(t *testing.T, dsn string)) {
	t.Run("sqlite", func(t *testing.T) { f(t, filepath.Join(t.TempDir(), "accounts.db")) })
	t.Run("postgres", func(t *testing.T) { f(t, pgtest.DSN(t)) })
}

func apply(t testing.TB, r *registry.Registry, file string) {
	t.Helper()
	s, err := registry.ParseSeed("seed.json", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Apply(t.Context(), s, accesstest.Issuer, accesstest.Issuer); err != nil {
		t.Fatal(err)
	}
}

func person(t testing.TB, subject string, more ...string) auth.Identity {
	t.Helper()
	claims := map[string]any{"sub": subject, "client_id": "app", "scope": "user/*.rs"}
	if len(more) > 0 {
		claims["worksite"] = more[0]
	}
	return accesstest.Identity(t, claims)
}

const file = `{
  "worksites": [{"id": "a", "name": "Alder"}, {"id": "b", "name": "Birch"}, {"id": "c", "name": "Cedar", "inactive": true}],
  "people": [
    {"id": "maya", "subject": "s-maya", "name": "Maya", "memberships": [
      {"worksite": "b", "role": "physician"}, {"worksite": "a", "role": "physician"}, {"worksite": "c", "role": "physician"}]},
    {"id": "theo", "subject": "s-theo", "name": "Theo", "memberships": [{"worksite": "a", "role": "nurse-practitioner"}]},
    {"id": "noor", "subject": "s-noor", "name": "Noor", "memberships": [{"worksite": "a", "role": "assistant", "for": ["maya", "theo"]}]},
    {"id": "ada", "subject": "s-ada", "name": "Ada", "memberships": [{"worksite": "a", "role": "privacy-officer"}]},
    {"id": "ines", "subject": "s-ines", "name": "Ines", "memberships": [
      {"worksite": "a", "role": "resident", "until": "2026-11-22T12:00:00Z"}, {"worksite": "b", "role": "resident", "until": "2026-11-22T12:00:01Z"}]}
  ],
  "clients": [{"id": "ehr", "name": "EHR", "source": "ehr", "scopes": "system/Patient.rs system/Observation.cruds"}]
}`

func TestPeopleComeInWhereTheyAreMembers(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		r := openRegistry(t, dsn)
		apply(t, r, file)
		for _, row := range []struct {
			subject, worksite, actingFor string
			want                         error
		}{
			{"s-maya", "a", "", nil},
			{"s-maya", "b", "", nil},
			{"s-maya", "c", "", access.ErrWorksite},
			{"s-maya", "d", "", access.ErrPlace},
			{"s-maya", "", "", access.ErrPlace},
			{"s-maya", "a", "theo", access.ErrPlace},
			{"s-noor", "a", "maya", nil},
			{"s-noor", "a", "theo", nil},
			{"s-noor", "a", "", access.ErrPlace},
			{"s-noor", "b", "maya", access.ErrPlace},
			{"s-ada", "a", "", access.ErrRole},
			{"s-ines", "a", "", access.ErrEnded},
			{"s-ines", "b", "", nil},
			{"s-nobody", "a", "", access.ErrLogin},
		} {
			for range 2 { // read, then remembered
				c, err := r.Person(t.Context(), person(t, row.subject), row.worksite, row.actingFor)
				if !errors.Is(err, row.want) || (err == nil) == c.IsZero() {
					t.Errorf("%s at %q for %q: %v, want %v", row.subject, row.worksite, row.actingFor, err, row.want)
				}
				if f, _ := c.OnBehalfOf(); f.Person != row.actingFor && err == nil {
					t.Errorf("%s acts for %q", row.subject, f.Person)
				}
			}
		}
		choices, err := r.Choices(t.Context(), person(t, "s-maya"))
		if err != nil || len(choices) != 2 || choices[0].Site.Name != "Alder" || choices[1].Site.Name != "Birch" {
			t.Errorf("choices %v, %v", choices, err)
		}
		choices, err = r.Choices(t.Context(), person(t, "s-noor"))
		if err != nil || len(choices) != 2 || choices[0].For.Person != "maya" || choices[1].For.Person != "theo" || choices[0].Key() == choices[1].Key() {
			t.Errorf("choices %v, %v", choices, err)
		}
	})
}

func TestTokensComeInWhereTheySay(t *testing.T) {
	r := openRegistry(t, filepath.Join(t.TempDir(), "accounts.db"))
	apply(t, r, file)
	client := func(id, scope string) auth.Identity {
		return accesstest.Identity(t, map[string]any{"sub": id, "client_id": id, "scope": scope})
	}
	for _, row := range []struct {
		name string
		id   auth.Identity
		want error
		at   string
	}{
		{"one place", person(t, "s-theo"), nil, "a"},
		{"one of several still open", person(t, "s-ines"), nil, "b"},
		{"several places and none named", person(t, "s-maya"), access.ErrChoose, ""},
		{"several places and one named", person(t, "s-maya", "b"), nil, "b"},
		{"a place without membership", person(t, "s-theo", "b"), access.ErrLogin, ""},
		{"an assistant of two", person(t, "s-noor"), access.ErrChoose, ""},
		{"a privacy officer", person(t, "s-ada"), access.ErrRole, ""},
		{"a stranger", person(t, "s-nobody"), access.ErrLogin, ""},
		{"a client", client("ehr", "system/*.cruds"), nil, ""},
		{"a client nobody registered", client("other", "system/*.cruds"), access.ErrLogin, ""},
		{"nobody", auth.Identity{}, access.ErrLogin, ""},
	} {
		for range 2 {
			c, err := r.Token(t.Context(), row.id)
			if !errors.Is(err, row.want) || c.Worksite().ID != row.at {
				t.Errorf("%s: at %q, %v", row.name, c.Worksite().ID, err)
			}
		}
	}
	c, err := r.Token(t.Context(), client("ehr", "system/*.cruds"))
	if err != nil || c.Client().Source != "ehr" || c.May(auth.Create, "Observation") != auth.AllPatients || c.May(auth.Create, "Patient") != auth.Nothing {
		t.Errorf("the client %+v, %v", c.Client(), err)
	}
}

func TestLeavingTheFileEndsAccessAtTheNextRequest(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		r := openRegistry(t, dsn)
		apply(t, r, file)
		admitted := func() (theo, noor, ehr error) {
			_, theo = r.Person(t.Context(), person(t, "s-theo"), "a", "")
			_, noor = r.Person(t.Context(), person(t, "s-noor"), "a", "theo")
			_, ehr = r.Token(t.Context(), accesstest.Identity(t, map[string]any{"sub": "ehr", "client_id": "ehr"}))
			return
		}
		if theo, noor, ehr := admitted(); theo != nil || noor != nil || ehr != nil {
			t.Fatal(theo, noor, ehr)
		}
		without := strings.Replace(file, `"id": "theo", "subject": "s-theo", "name": "Theo"`, `"id": "theo", "subject": "s-theo", "name": "Theo", "inactive": true`, 1)
		apply(t, r, without)
		if theo, noor, _ := admitted(); !errors.Is(theo, access.ErrInactive) || !errors.Is(noor, access.ErrAuthorizer) {
			t.Errorf("after Theo is paused: %v, his assistant %v", theo, noor)
		}
		apply(t, r, `{"worksites": [{"id": "a", "name": "Alder"}], "people": []}`)
		if theo, noor, ehr := admitted(); !errors.Is(theo, access.ErrLogin) || !errors.Is(noor, access.ErrLogin) || !errors.Is(ehr, access.ErrInactive) {
			t.Errorf("after all left: %v, %v, %v", theo, noor, ehr)
		}
		moved := strings.NewReplacer(`"id": "theo", "subject": "s-theo"`, `"id": "theo", "subject": "s-ada"`, `"id": "ada", "subject": "s-ada"`, `"id": "ada", "subject": "s-theo"`).Replace(file)
		apply(t, r, moved)
		if theo, noor, ehr := admitted(); !errors.Is(theo, access.ErrRole) || noor != nil || ehr != nil {
			t.Errorf("after two swapped accounts: %v, %v, %v", theo, noor, ehr)
		}
	})
}

func TestAnotherNodeNoticesWithinASecond(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		clock := now
		two, err := registry.Open(t.Context(), dsn, func() time.Time { return clock })
		if err != nil {
			t.Fatal(err)
		}
		defer two.Close()
		one := openRegistry(t, dsn)
		apply(t, one, file)
		admitted := func() error {
			_, err := two.Person(t.Context(), person(t, "s-theo"), "a", "")
			return err
		}
		if err := admitted(); err != nil {
			t.Fatal(err)
		}
		apply(t, one, `{"worksites": [], "people": []}`)
		if clock = clock.Add(time.Second); !errors.Is(admitted(), access.ErrLogin) {
			t.Errorf("a second later: %v", admitted())
		}
	})
}

func TestSeedsAreRefusedWithTheLine(t *testing.T) {
	for name, row := range map[string]struct{ from, to, want string }{
		"an unknown key":            {`"name": "Alder"`, `"nmae": "Alder"`, "seed.json:2: "},
		"a key twice":               {`"name": "Alder"`, `"name": "Alder", "name": "X"`, "seed.json:2: "},
		"no JSON":                   {`"people": [`, `"people": [,`, "seed.json:3: "},
		"a string for a list":       {`"for": ["maya", "theo"]`, `"for": "maya"`, "seed.json:7: "},
		"a worksite twice":          {`{"id": "b", "name": "Birch"}`, `{"id": "a", "name": "Birch"}`, "seed.json:2: a second worksite"},
		"a worksite with odd id":    {`"id": "c"`, `"id": "c c"`, "seed.json:2: a worksite needs an id"},
		"a person twice":            {`"id": "theo"`, `"id": "maya"`, "seed.json:6: a second person with id"},
		"an account twice":          {`"s-theo"`, `"s-maya"`, "seed.json:6: a second person with subject"},
		"an unknown role":           {`"nurse-practitioner"`, `"wizard"`, `seed.json:6: "wizard" is not a role`},
		"an unknown worksite":       {`"worksite": "a", "role": "privacy-officer"`, `"worksite": "x", "role": "privacy-officer"`, `seed.json:8: no worksite has id "x"`},
		"a nurse acting for others": {`"role": "assistant"`, `"role": "nurse"`, "seed.json:7: only an assistant"},
		"an authorizer unknown":     {`["maya", "theo"]`, `["maya", "who"]`, `seed.json:7: "who" may not authorise`},
		"an authorizer elsewhere":   {`["maya", "theo"]`, `["ines", "ada"]`, `seed.json:7: "ada" may not authorise`},
		"an odd time":               {`"2026-11-22T12:00:00Z"`, `"22 Nov"`, "seed.json:10: until is a time"},
		"a person's scope":          {`"system/Patient.rs system`, `"user/Patient.rs system`, `seed.json:12: "user/Patient.rs" is not a scope`},
		"no scopes":                 {`"system/Patient.rs system/Observation.cruds"`, `""`, "seed.json:12: a client needs scopes"},
	} {
		_, err := registry.ParseSeed("seed.json", []byte(strings.Replace(file, row.from, row.to, 1)))
		if err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v, want %q", name, err, row.want)
		}
	}
}

func TestTheDemoHasItsPeople(t *testing.T) {
	s, err := registry.Demo()
	if err != nil {
		t.Fatal(err)
	}
	r := openRegistry(t, filepath.Join(t.TempDir(), "accounts.db"))
	if err := r.Apply(t.Context(), s, accesstest.Issuer, accesstest.Issuer); err != nil {
		t.Fatal(err)
	}
	places := map[string]int{
		"physician": 2, "pharmacist": 1, "assistant": 1, "nurse": 1, "social-worker": 1, "privacy-officer": 0, "operator": 0,
	}
	for _, p := range s.People {
		choices, err := r.Choices(t.Context(), person(t, p.Subject))
		if err != nil || len(choices) != places[p.ID] {
			t.Errorf("%s may act at %d places, %v", p.ID, len(choices), err)
		}
		m, w := s.Usual(p)
		if w.Name == "" || string(m.Role) != p.ID {
			t.Errorf("%s is usually a %s at %q", p.ID, m.Role, w.Name)
		}
		delete(places, p.ID)
	}
	if len(places) > 0 {
		t.Errorf("missing: %v", places)
	}
}

func FuzzParseSeed(f *testing.F) {
	f.Add([]byte(file))
	f.Add([]byte(`{"worksites":[{"id":"a","name":"A"}],"people":[{"id":"p","subject":"s","name":"n","memberships":[{"worksite":"a","role":"assistant","for":["p"]}]}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := registry.ParseSeed("seed.json", b); err != nil && !strings.HasPrefix(err.Error(), "registry: seed.json") {
			t.Errorf("an error without a place: %v", err)
		}
	})
}

// BenchmarkToken tells what admitting a token costs once its holder is known.
func BenchmarkToken(b *testing.B) {
	r := openRegistry(b, filepath.Join(b.TempDir(), "accounts.db"))
	apply(b, r, file)
	id := person(b, "s-theo")
	for b.Loop() {
		if _, err := r.Token(b.Context(), id); err != nil {
			b.Fatal(err)
		}
	}
}
