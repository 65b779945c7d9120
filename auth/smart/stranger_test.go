package smart

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"
)

// Keys that a stranger names are fetched from public addresses alone: whatever its name
// leads to is looked at when it is dialled, and nothing inside is asked.
func TestKeysOfStrangersComeFromOutside(t *testing.T) {
	var asked atomic.Int64
	inside := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer inside.Close()
	if _, _, err := fetchKeys(t.Context(), outsideClient(), inside.URL); err == nil || asked.Load() != 0 {
		t.Errorf("a machine inside was asked %d times: %v", asked.Load(), err)
	}
	for address, public := range map[string]bool{
		"127.0.0.1": false, "::1": false, "0.0.0.0": false, "10.1.2.3": false, "172.16.0.1": false, "192.168.1.1": false, "169.254.169.254": false, "100.64.0.1": false,
		"224.0.0.1": false, "255.255.255.255": false, "fe80::1": false, "fd00:ec2::254": false, "::ffff:127.0.0.1": false, "::ffff:169.254.169.254": false,
		"64:ff9b::7f00:1": false, "2002:7f00:1::": false, "2001:0:1::1": false, "::": false, "::7f00:1": false,
		"8.8.8.8": true, "2606:4700::1111": true,
	} {
		if got := publicAddress(netip.MustParseAddr(address)); got != public {
			t.Errorf("%s: public is %v", address, got)
		}
	}
}

// A minute's worth may come at once, then one waits; another who asks is not kept
// waiting, and a new limit counts from the next request on.
func TestLimitsCountRequests(t *testing.T) {
	m := meter{}
	now := time.Unix(0, 0)
	for n := range 60 {
		if wait := m.take("one", 60, now); wait != 0 {
			t.Fatalf("request %d waits %v", n, wait)
		}
	}
	for range 2 { // who is refused does not wait the longer for it
		if wait := m.take("one", 60, now); wait != time.Second {
			t.Errorf("one too many waits %v", wait)
		}
	}
	if wait := m.take("other", 60, now); wait != 0 {
		t.Errorf("another waits %v", wait)
	}
	if wait := m.take("one", 60, now.Add(time.Second)); wait != 0 {
		t.Errorf("after a second one waits %v", wait)
	}
	if wait := m.take("other", 1, now); wait != 0 {
		t.Errorf("with less one waits %v", wait)
	}
	if wait := m.take("other", 1, now); wait != time.Minute {
		t.Errorf("with one a minute the second waits %v", wait)
	}
}
