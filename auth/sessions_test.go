package auth_test

import (
	"context"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"firebreak/auth"
	"firebreak/internal/sqldb"
)

func TestSessionIsIdleAfterFifteenMinutes(t *testing.T) {
	onBoth(t, func(t *testing.T, db *sqldb.DB) {
		c := newClock()
		g := newGateway(t, newFake(t, c), db, auth.SessionConfig{})
		b, s := g.signedIn(t)
		if left := g.sessions.Remaining(s); left != 15*time.Minute {
			t.Errorf("%v left at the start", left)
		}
		c.add(14*time.Minute + 59*time.Second)
		s = g.find(t, b)
		if left := g.sessions.Remaining(s); s.IsZero() || left != time.Second {
			t.Fatalf("at 14:59 %v left", left)
		}
		if s = g.sessions.Touch(s); g.sessions.Remaining(s) != 15*time.Minute {
			t.Errorf("a use leaves %v", g.sessions.Remaining(s))
		}
		c.add(15 * time.Minute)
		if s := g.find(t, b); !s.IsZero() {
			t.Errorf("at 15:00 %v left", g.sessions.Remaining(s))
		}
		if s := g.sessions.Touch(s); !s.IsZero() {
			t.Error("a use wakes a session that is over")
		}
	})
}

func TestLookingAtTheClockIsNoUse(t *testing.T) {
	c := newClock()
	g := newGateway(t, newFake(t, c), sqlite(t), auth.SessionConfig{})
	b, _ := g.signedIn(t)
	for range 14 {
		c.add(time.Minute)
		g.find(t, b)
	}
	if left := g.sessions.Remaining(g.find(t, b)); left != time.Minute {
		t.Errorf("%v left after 14 minutes of polling", left)
	}
}

func TestSessionEndsAfterTwelveHoursOfUse(t *testing.T) {
	onBoth(t, func(t *testing.T, db *sqldb.DB) {
		c := newClock()
		g := newGateway(t, newFake(t, c), db, auth.SessionConfig{})
		b, _ := g.signedIn(t)
		for range 12*6 - 1 {
			c.add(10 * time.Minute)
			g.sessions.Touch(g.find(t, b))
		}
		c.add(10*time.Minute - time.Second)
		if left := g.sessions.Remaining(g.find(t, b)); left != time.Second {
			t.Errorf("%v left at 11:59:59", left)
		}
		c.add(time.Second)
		if !g.find(t, b).IsZero() {
			t.Error("alive after twelve hours")
		}
	})
}

func TestSignInGivesANewIDAndEndsTheOldSession(t *testing.T) {
	g := newGateway(t, newFake(t, newClock()), sqlite(t), auth.SessionConfig{})
	planted := newBrowser()
	planted.cookies["firebreak"] = &http.Cookie{Name: "firebreak", Value: strings.Repeat("A", 43)}
	first := g.signInAgain(t, planted)
	if planted.cookies["firebreak"].Value == strings.Repeat("A", 43) {
		t.Fatal("a planted id was taken over")
	}
	old := &browser{cookies: map[string]*http.Cookie{"firebreak": planted.cookies["firebreak"]}}
	second := g.signInAgain(t, planted)
	if first.Key() == second.Key() || !g.find(t, old).IsZero() || g.find(t, planted).IsZero() {
		t.Error("signing in again kept the old id or session")
	}
}

func TestCookiesSayNothingAndStayHere(t *testing.T) {
	for name, secure := range map[string]bool{"http": false, "https": true} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, newFake(t, newClock()), sqlite(t), auth.SessionConfig{Secure: secure})
			b, _ := g.signedIn(t)
			want := "firebreak"
			if secure {
				want = "__Host-firebreak"
			}
			c := b.cookies[want]
			if c == nil || len(b.cookies) != 1 {
				t.Fatalf("cookies %v", b.cookies)
			}
			if !c.HttpOnly || c.Secure != secure || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.MaxAge != 0 || !c.Expires.IsZero() {
				t.Errorf("cookie %s", c)
			}
			if !regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`).MatchString(c.Value) {
				t.Errorf("value %q is not 256 random bits", c.Value)
			}
			// A cookie under the other name, or there twice, opens nothing.
			other := &browser{cookies: map[string]*http.Cookie{"x": {Name: "firebreak2", Value: c.Value}}}
			if !g.find(t, other).IsZero() {
				t.Error("a cookie of another name opens the session")
			}
			r := b.request("/")
			r.AddCookie(&http.Cookie{Name: want, Value: strings.Repeat("B", 43)})
			if s, err := g.sessions.Find(t.Context(), r); err != nil || !s.IsZero() {
				t.Errorf("two cookies: %v, %v", !s.IsZero(), err)
			}
		})
	}
}

func TestTheTableDoesNotHoldTheCookie(t *testing.T) {
	db := sqlite(t)
	g := newGateway(t, newFake(t, newClock()), db, auth.SessionConfig{})
	b, s := g.signedIn(t)
	var id string
	if err := db.QueryRow(t.Context(), `SELECT id FROM auth_session`).Scan(&id); err != nil {
		t.Fatal(err)
	}
	if id == b.cookies["firebreak"].Value || id != s.Key() {
		t.Errorf("the table holds %q", id)
	}
	forged := &browser{cookies: map[string]*http.Cookie{"firebreak": {Name: "firebreak", Value: id}}}
	if !g.find(t, forged).IsZero() {
		t.Error("what the table holds opens the session")
	}
}

func TestSignOutEverywhere(t *testing.T) {
	onBoth(t, func(t *testing.T, db *sqldb.DB) {
		g := newGateway(t, newFake(t, newClock()), db, auth.SessionConfig{})
		one, s := g.signedIn(t)
		two, _ := g.signedIn(t)
		other := newBrowser()
		q := g.begin(t, other, "/")
		if _, _, _, err := g.answer(t, other, q, g.sign(t, with(g.claims(q), map[string]any{"sub": "theo"}), nil)); err != nil {
			t.Fatal(err)
		}
		g.sessions.Touch(s)
		if n, err := g.sessions.EndAll(t.Context(), g.URL, "maya"); n != 2 || err != nil {
			t.Errorf("ended %d, %v", n, err)
		}
		if err := g.sessions.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !g.find(t, one).IsZero() || !g.find(t, two).IsZero() || g.find(t, other).IsZero() {
			t.Error("the wrong sessions ended")
		}
	})
}

func TestChoiceStaysWithTheSession(t *testing.T) {
	g := newGateway(t, newFake(t, newClock()), sqlite(t), auth.SessionConfig{})
	b, s := g.signedIn(t)
	if s.Worksite() != "" || s.ActingFor() != "" || s.Purpose() != "" {
		t.Errorf("chosen before: %q %q", s.Worksite(), s.ActingFor())
	}
	if _, err := g.sessions.Choose(t.Context(), s, "harbour", "maya"); err != nil {
		t.Fatal(err)
	}
	if s := g.find(t, b); s.Worksite() != "harbour" || s.ActingFor() != "maya" || s.Purpose() != auth.Treatment {
		t.Errorf("chosen %q %q", s.Worksite(), s.ActingFor())
	}
	if s := g.signInAgain(t, b); s.Worksite() != "" {
		t.Error("the choice outlives the session")
	}
}

func TestUsesSurviveARestart(t *testing.T) {
	onBoth(t, func(t *testing.T, db *sqldb.DB) {
		c := newClock()
		f := newFake(t, c)
		g := newGateway(t, f, db, auth.SessionConfig{})
		b, _ := g.signedIn(t)
		c.add(10 * time.Minute)
		g.sessions.Touch(g.find(t, b))
		if err := g.sessions.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.add(10 * time.Minute)
		again := newGateway(t, f, db, auth.SessionConfig{})
		if left := again.sessions.Remaining(again.find(t, b)); left != 5*time.Minute {
			t.Errorf("after the restart %v left", left)
		}
		c.add(time.Hour)
		if err := again.sessions.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		var left int64
		if err := db.QueryRow(t.Context(), `SELECT COUNT(*) FROM auth_session`).Scan(&left); err != nil || left != 0 {
			t.Errorf("%d rows are left of what is over (%v)", left, err)
		}
	})
}

// Run writes at most once in five seconds, however many uses there are, and a
// last time when it stops.
func TestRunWritesUsesDown(t *testing.T) {
	path := filepath.Join(t.TempDir(), "accounts.db")
	c := newClock()
	g := newGateway(t, newFake(t, c), openDB(t, path), auth.SessionConfig{})
	b, s := g.signedIn(t)
	seen := func(db *sqldb.DB) (at int64) {
		if err := db.QueryRow(context.Background(), `SELECT seen FROM auth_session WHERE id = $1`, s.Key()).Scan(&at); err != nil {
			t.Fatal(err)
		}
		return at
	}
	_ = b
	synctest.Test(t, func(t *testing.T) {
		db := openDB(t, path)
		begun := time.Now()
		sessions, err := auth.NewSessions(t.Context(), db, auth.SessionConfig{Now: func() time.Time { return c.now().Add(time.Since(begun)) }})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { sessions.Run(ctx); close(done) }()
		first := seen(db)
		time.Sleep(4 * time.Second)
		sessions.Touch(s)
		if seen(db) != first {
			t.Error("a use was written at once")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		second := seen(db)
		if second-first != int64(4*time.Second/time.Microsecond) {
			t.Errorf("after six seconds the table says %v", time.Duration(second-first)*time.Microsecond)
		}
		time.Sleep(time.Second)
		sessions.Touch(s)
		stop()
		<-done
		if seen(db)-second != int64(3*time.Second/time.Microsecond) {
			t.Error("the last use was lost when it stopped")
		}
	})
}
