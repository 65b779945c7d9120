package auth_test

import (
	"strings"
	"testing"

	"firebreak/access"
	"firebreak/access/accesstest"
	"firebreak/auth"
)

const (
	c = auth.Create
	r = auth.Read
	u = auth.Update
	d = auth.Delete
	s = auth.Search
)

func TestScopesMeanWhatSMARTSays(t *testing.T) {
	for word, want := range map[string]auth.Scope{
		"patient/Observation.rs":     {Context: auth.Patient, Type: "Observation", May: r | s},
		"user/*.cruds":               {Context: auth.User, Type: "*", May: c | r | u | d | s},
		"system/Patient.read":        {Context: auth.System, Type: "Patient", May: r | s},
		"system/Patient.write":       {Context: auth.System, Type: "Patient", May: c | u | d},
		"user/Observation.*":         {Context: auth.User, Type: "Observation", May: c | r | u | d | s},
		"patient/*.s":                {Context: auth.Patient, Type: "*", May: s},
		"user/Observation.rs?code=1": {Context: auth.User, Type: "Observation", May: r | s, Query: "code=1"},
		"patient/Condition.cr?category=http://x.test|a,b&code=c%7Cd": {Context: auth.Patient, Type: "Condition", May: c | r, Query: "category=http://x.test|a,b&code=c%7Cd"},
	} {
		got, ok := auth.ParseScope(word)
		if !ok || got.Context != want.Context || got.Type != want.Type || got.May != want.May || got.Query != want.Query {
			t.Errorf("%s reads as %+v, %v", word, got, ok)
		}
	}
	for _, word := range []string{
		"", "openid", "launch/patient", "fhirUser", "offline_access", "patient", "patient/", "patient/Observation", "patient/Observation.",
		"patient/.rs", "patient/*", "Patient/Observation.rs", "PATIENT/Observation.rs", "admin/*.rs", "patient/observation.rs",
		"patient/Observation.sr", "patient/Observation.rr", "patient/Observation.x", "patient/Observation.RS", "patient/Observation.reads",
		"patient/Observation.read.rs", "patient/Obs*.rs", "patient/Obs-1.rs", "patient/Unheard.rs", "system/Unheard.read", "system/NutritionProduct.rs", "patient/*.rs?", "patient/*.rs?%zz", "user//Patient.rs", "*/*.*",
		// a restriction is of one type, by values of its token parameters, and of the second version
		"patient/*.rs?category=laboratory", "patient/Observation.rs?code", "patient/Observation.rs?code=", "patient/Observation.rs?category=a&&code=",
		"patient/Observation.rs?nothing=a", "patient/Observation.rs?category:not=a", "patient/Observation.rs?code:text=a", "patient/Observation.rs?code:in=http://x.test",
		"patient/Observation.rs?date=2020", "patient/Observation.rs?subject=Patient/1", "patient/Observation.rs?subject.gender=male", "patient/Observation.rs?value-quantity=1",
		"patient/Observation.rs?_security=R", "patient/Observation.rs?_id=1", "patient/Observation.rs?_has:Provenance:target:agent=1", "patient/Observation.rs?_sort=code", "patient/Observation.rs?_count=1",
		"patient/Observation.rs?code-value-quantity=a$1", "patient/Unheard.rs?code=a", "patient/Observation.read?category=a", "patient/Observation.*?category=a", "patient/Observation.cud?category=a", "patient/Observation.write?category=a", "user/Subscription.rs?status=active", "system/AuditEvent.rs?type=rest",
	} {
		if got, ok := auth.ParseScope(word); ok {
			t.Errorf("%q reads as %+v", word, got)
		}
	}
}

func TestScopesAllow(t *testing.T) {
	all := auth.ParseScopes("openid user/Observation.rs patient/*.read system/Patient.c\tuser/Condition.rs?category=x bad/one.rs")
	for _, row := range []struct {
		context auth.Context
		typ     string
		in      auth.Interaction
		want    bool
	}{
		{auth.User, "Observation", r, true},
		{auth.User, "Observation", s, true},
		{auth.User, "Observation", r | s, true},
		{auth.User, "Observation", c, false},
		{auth.User, "Observation", r | c, false},
		{auth.User, "Observation", 0, false},
		{auth.User, "Patient", r, false},
		{auth.User, "ObservationX", r, false},
		{auth.User, "*", r, false},
		{auth.User, "Condition", r, false}, // not on all of them
		{auth.Patient, "Anything", r, true},
		{auth.Patient, "Anything", u, false},
		{auth.System, "Patient", c, true},
		{auth.System, "Patient", r, false},
	} {
		if got := all.Allows(row.context, row.typ, row.in); got != row.want {
			t.Errorf("%s %s %05b: %v", row.context, row.typ, row.in, got)
		}
	}
	if auth.Scopes(nil).Allows(auth.User, "Patient", r) {
		t.Error("no scopes allow something")
	}
}

func TestGrantIsTheIntersection(t *testing.T) {
	for _, row := range []struct{ asked, allowed, want string }{
		{"openid profile user/*.rs", "openid profile user/*.rs", "openid profile user/*.rs"},
		{"openid fhirUser launch user/*.rs", "openid user/*.rs", "openid user/*.rs"},
		{"user/*.cruds", "user/*.rs", "user/*.rs"},
		{"user/*.read", "user/*.rs", "user/*.read"},
		{"user/*.*", "user/*.rs", "user/*.rs"},
		{"user/Observation.cruds user/Patient.r", "user/*.rs", "user/Observation.rs user/Patient.r"},
		{"user/*.rs", "user/Observation.r user/Patient.rs", "user/Observation.r user/Patient.rs"},
		{"system/*.rs", "user/*.rs", ""},
		{"user/Observation.c", "user/*.rs", ""},
		{"user/Observation.rs?category=laboratory", "user/*.rs", "user/Observation.rs?category=laboratory"},
		{"user/Observation.rs?category=http://x.test|a", "user/Observation.r", "user/Observation.r?category=http://x.test|a"},
		{"system/Observation.cruds?category=a", "system/*.cruds", "system/Observation.rs?category=a"}, // nothing is written by what is granted in part
		{"user/Observation.rs?category=a", "user/Observation.rs?category=a user/Patient.r", "user/Observation.rs?category=a"},
		{"user/Observation.rs?category=a", "user/Observation.rs?category=b", ""},
		{"user/Observation.rs", "user/Observation.rs?category=a", ""},
		{"user/Observation.rs?date=2020", "user/*.rs", ""},
		{"user/*.rs user/*.rs", "user/*.rs", "user/*.rs"},
		{"", "user/*.rs", ""},
		{"user/*.rs", "", ""},
	} {
		if got := auth.Grant(row.asked, row.allowed); got != row.want {
			t.Errorf("asked %q of %q: granted %q, want %q", row.asked, row.allowed, got, row.want)
		}
	}
}

func FuzzScopes(f *testing.F) {
	for _, seed := range []string{"user/*.rs", "patient/Observation.cruds?category=a&b=c", "system/Patient.write openid", "user/*.rs?", "a/b.c", "patient/*.*"} {
		f.Add(seed, "user/*.rs")
	}
	types := []string{"Patient", "Observation", "Binary"}
	f.Fuzz(func(t *testing.T, asked, allowed string) {
		a, l, g := auth.ParseScopes(asked), auth.ParseScopes(allowed), auth.ParseScopes(auth.Grant(asked, allowed))
		for _, context := range []auth.Context{auth.Patient, auth.User, auth.System} {
			for _, typ := range types {
				for in := c; in <= s; in <<= 1 {
					both := a.Allows(context, typ, in) && l.Allows(context, typ, in)
					if got := g.Allows(context, typ, in); got != both {
						t.Errorf("asked %q of %q: %s %s %05b is %v, both is %v", asked, allowed, context, typ, in, got, both)
					}
				}
			}
		}
		for _, scope := range a {
			again, ok := auth.ParseScope(scope.String())
			if !ok || again.May != scope.May || again.Type != scope.Type || again.Query != scope.Query {
				t.Errorf("%+v is spelled %q, which reads as %+v", scope, scope, again)
			}
		}
		if strings.Contains(auth.Grant(asked, allowed), "  ") {
			t.Error("an empty word was granted")
		}
	})
}

// What a token reaches is the union of its scopes, one without a restriction
// counting before others; what it may read and what it may search are told apart.
func TestLimitsAreTheUnionOfTheScopes(t *testing.T) {
	const none, some, all = "nothing", "some", "all"
	for _, row := range []struct {
		scopes, patient string
		in              auth.Interaction
		own             bool
		want            string
		parts           int
	}{
		{"user/Observation.rs?category=a user/Observation.rs?category=b", "", r, false, some, 2},
		{"user/Observation.rs?category=a user/Observation.r", "", r, false, all, 0},
		{"user/Observation.rs?category=a user/Observation.r", "", s, false, some, 1},
		{"user/Observation.r?category=a user/Observation.s?category=b", "", s, false, some, 1},
		{"user/Observation.r?category=a user/Patient.rs", "", s, false, none, 0},
		{"user/Observation.rs?category=a user/*.rs", "", r, false, all, 0},
		{"patient/Observation.rs?category=a user/Patient.rs", "p", r, true, some, 1},
		{"patient/Observation.rs?category=a user/Patient.rs", "p", r, false, none, 0},
		{"patient/Observation.rs?category=a user/Patient.rs", "", r, false, none, 0},
		{"patient/Observation.rs user/Observation.rs?category=a", "p", r, true, all, 0},
		{"patient/Observation.rs user/Observation.rs?category=a", "p", r, false, some, 1},
		{"system/Observation.rs user/Observation.rs?category=a", "", r, false, some, 1}, // a person's token has nothing of a system's
	} {
		l := accesstest.App(t, access.Physician, row.scopes, row.patient).Identity().Limits()
		if l == nil {
			if row.patient != "" || row.want != none {
				t.Errorf("%s: no limits", row.scopes)
			}
			continue
		}
		whole, only := l.Of(row.in, "Observation", row.own)
		got := none
		if whole {
			got = all
		} else if len(only) > 0 {
			got = some
		}
		if got != row.want || len(only) != row.parts {
			t.Errorf("%s, %05b, own %v: %s by %d, want %s by %d", row.scopes, row.in, row.own, got, len(only), row.want, row.parts)
		}
	}
}

// Tokens that differ in what they leave never share a key, and the key of most is
// none at all.
func TestLimitsHaveKeys(t *testing.T) {
	keys := map[string]string{}
	for _, scopes := range []string{
		"user/Observation.rs?category=a", "user/Observation.rs?category=b", "user/Observation.r?category=a", "user/Observation.rs?category=a user/Patient.rs",
		"user/Condition.rs?category=a", "patient/Observation.rs?category=a",
	} {
		for _, patient := range []string{"p", "q"} {
			key := accesstest.App(t, access.Physician, scopes, patient).Identity().Limits().Key()
			if other := keys[key]; other != "" {
				t.Errorf("%s of %s and %s have one key", scopes, patient, other)
			}
			keys[key] = scopes + " of " + patient
		}
	}
	one := accesstest.App(t, access.Physician, "openid user/Patient.rs user/Observation.rs?category=a", "").Identity().Limits().Key()
	if other := accesstest.App(t, access.Physician, "user/Observation.rs?category=a user/Patient.rs user/Patient.rs fhirUser", "").Identity().Limits().Key(); one != other {
		t.Error("the order of scopes, and those that are not about data, make another key")
	}
	if accesstest.App(t, access.Physician, "user/*.rs patient/*.rs", "p").Identity().Limits() != nil {
		t.Error("scopes without a restriction limit")
	}
}
