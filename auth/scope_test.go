package auth_test

import (
	"strings"
	"testing"

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
		"patient/Observation.rs":   {Context: auth.Patient, Type: "Observation", May: r | s},
		"user/*.cruds":             {Context: auth.User, Type: "*", May: c | r | u | d | s},
		"system/Patient.read":      {Context: auth.System, Type: "Patient", May: r | s},
		"system/Patient.write":     {Context: auth.System, Type: "Patient", May: c | u | d},
		"user/Observation.*":       {Context: auth.User, Type: "Observation", May: c | r | u | d | s},
		"patient/*.s":              {Context: auth.Patient, Type: "*", May: s},
		"user/Observation.rs?code": {Context: auth.User, Type: "Observation", May: r | s, Query: map[string][]string{"code": {""}}},
	} {
		got, ok := auth.ParseScope(word)
		if !ok || got.Context != want.Context || got.Type != want.Type || got.May != want.May || got.Query.Encode() != want.Query.Encode() {
			t.Errorf("%s reads as %+v, %v", word, got, ok)
		}
	}
	for _, word := range []string{
		"", "openid", "launch/patient", "fhirUser", "offline_access", "patient", "patient/", "patient/Observation", "patient/Observation.",
		"patient/.rs", "patient/*", "Patient/Observation.rs", "PATIENT/Observation.rs", "admin/*.rs", "patient/observation.rs",
		"patient/Observation.sr", "patient/Observation.rr", "patient/Observation.x", "patient/Observation.RS", "patient/Observation.reads",
		"patient/Observation.read.rs", "patient/Obs*.rs", "patient/Obs-1.rs", "patient/*.rs?", "patient/*.rs?%zz", "user//Patient.rs", "*/*.*",
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
		{auth.User, "Condition", r, false}, // a restriction that is not enforced grants nothing
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
			if !ok || again.May != scope.May || again.Type != scope.Type || again.Query.Encode() != scope.Query.Encode() {
				t.Errorf("%+v is spelled %q, which reads as %+v", scope, scope, again)
			}
		}
		if strings.Contains(auth.Grant(asked, allowed), "  ") {
			t.Error("an empty word was granted")
		}
	})
}
