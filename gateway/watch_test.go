package gateway

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestWatchEndsWhatCannotWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		disk := errors.New("the disk failed")
		err := watch(t.Context(), func() error {
			if time.Since(began) < time.Hour {
				return nil
			}
			return disk
		})
		if !errors.Is(err, disk) || time.Since(began) > time.Hour+time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := watch(ctx, func() error { return nil }); err != nil {
			t.Errorf("asked to stop: %v", err)
		}
	})
}

func TestPersistTriesUntilItIsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, tries := time.Now(), 0
		persist(t.Context(), func(context.Context) error {
			if tries++; tries < 10 {
				return errors.New("the database is away")
			}
			return nil
		})
		if want := (1+2+4+8+16+32)*time.Second + 3*time.Minute; tries != 10 || time.Since(began) != want {
			t.Errorf("%d tries in %v, want 10 in %v", tries, time.Since(began), want)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		persist(ctx, func(context.Context) error { return errors.New("never") })
	})
}
