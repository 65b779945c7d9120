package hl7

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// authority makes certificates that live during one test.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	a := &authority{t: t}
	own := a.issue("authority")
	a.cert, a.key = own.Leaf, own.PrivateKey.(*ecdsa.PrivateKey)
	return a
}

// issue makes a certificate; the first one signs itself.
func (a *authority) issue(name string) tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IsCA:        a.cert == nil, BasicConstraintsValid: true,
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

func TestTLSTellsTheHandlerWhoSends(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	peers := make(chan string, 1)
	s := &Server{
		TLS: &tls.Config{Certificates: []tls.Certificate{ca.issue("gateway")}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.pool()},
		Handler: HandlerFunc(func(_ context.Context, r *Request) error {
			peers <- r.Peer.Certificate.Subject.CommonName
			return nil
		}),
	}
	addr := serveTCP(t, s)
	config := func(certs ...tls.Certificate) *tls.Config {
		return &tls.Config{RootCAs: ca.pool(), ServerName: "gateway", Certificates: certs}
	}
	good := &Client{Addr: addr, TLS: config(ca.issue("mercy-lab"))}
	defer good.Close()
	if a, err := good.Send(t.Context(), []byte(message("1"))); err != nil || a.Code != AA {
		t.Fatal(a.Code, err)
	}
	if name := <-peers; name != "mercy-lab" {
		t.Errorf("the handler was told %s", name)
	}
	for name, c := range map[string]*tls.Config{
		"no certificate":          config(),
		"a stranger's":            config(other.issue("mercy-lab")),
		"a server not recognised": {RootCAs: other.pool(), ServerName: "gateway", Certificates: []tls.Certificate{ca.issue("mercy-lab")}},
		"a server of other name":  {RootCAs: ca.pool(), Certificates: []tls.Certificate{ca.issue("mercy-lab")}},
	} {
		client := &Client{Addr: addr, TLS: c}
		if a, err := client.Send(t.Context(), []byte(message("2"))); err == nil {
			t.Errorf("%s: %s", name, a.Code)
		}
		client.Close()
	}
	plain := dialTCP(t, addr)
	plain.write(framed("3"))
	if _, err := plain.frames.Next(); err == nil {
		t.Error("a connection without TLS is answered")
	}
	s.Close()
	if st := s.Stats(); st.Positive != 1 || st.Refused != 5 {
		t.Errorf("%+v", st)
	}
}

func TestACertificateThatWasNotVerifiedNamesNobody(t *testing.T) {
	ca := newAuthority(t)
	s := &Server{
		TLS: &tls.Config{Certificates: []tls.Certificate{ca.issue("gateway")}, ClientAuth: tls.RequireAnyClientCert},
		Handler: HandlerFunc(func(_ context.Context, r *Request) error {
			if r.Peer.Certificate != nil {
				return errors.New("named")
			}
			return nil
		}),
	}
	c := &Client{Addr: serveTCP(t, s), TLS: &tls.Config{RootCAs: ca.pool(), ServerName: "gateway", Certificates: []tls.Certificate{newAuthority(t).issue("x")}}}
	defer c.Close()
	if a, err := c.Send(t.Context(), []byte(message("1"))); err != nil || a.Code != AA {
		t.Error(a.Code, err)
	}
}

func TestAHandshakeThatStallsIsEnded(t *testing.T) {
	ca := newAuthority(t)
	cert := ca.issue("gateway")
	for name, shutdown := range map[string]bool{"by time": false, "by shutdown": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newPipeNet()
				s := &Server{Handler: accept, TLS: &tls.Config{Certificates: []tls.Certificate{cert}}}
				serveOn(t, s, n)
				nc, err := n.Dial(t.Context(), "", "")
				p := newPeer(t, nc, err)
				synctest.Wait()
				start, want := time.Now(), time.Minute
				if shutdown {
					want = 0
					if err := s.Shutdown(t.Context()); err != nil {
						t.Error(err)
					}
				}
				if _, err := p.frames.Next(); err == nil || time.Since(start) != want {
					t.Errorf("%v after %v", err, time.Since(start))
				}
			})
		})
	}
}

func TestTrailerTimeOutsLeaveTLSUsable(t *testing.T) {
	ca := newAuthority(t)
	s := &Server{Handler: accept, TrailerTime: time.Millisecond, TLS: &tls.Config{Certificates: []tls.Certificate{ca.issue("gateway")}}}
	nc, err := net.Dial("tcp", serveTCP(t, s))
	if err != nil {
		t.Fatal(err)
	}
	p := newPeer(t, tls.Client(nc, &tls.Config{RootCAs: ca.pool(), ServerName: "gateway"}), nil)
	for _, id := range []string{"1", "2"} {
		whole := framed(id)
		p.write(whole[:len(whole)-1])
		if a := p.answer(); a != "AA "+id {
			t.Error(a)
		}
	}
}
