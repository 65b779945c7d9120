package alarm

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/wneessen/go-mail"
)

// Mail tells by e-mail. TLS is required but on this machine.
//
// Source: RFC 5321, RFC 3207 (STARTTLS), RFC 3834 (Auto-Submitted).
type Mail struct {
	Server         string // HOST:PORT; 465 is TLS from the start
	From           string
	To             []string
	User, Password string // "" without
	TLS            *tls.Config
	Now            func() time.Time
}

// Name is the channel's.
func (m *Mail) Name() string { return "mail" }

// Tell sends one message to all.
func (m *Mail) Tell(ctx context.Context, n Notice) error {
	return m.Send(ctx, n.ID, subject(n), text(n))
}

// Send sends one message to all; id is the same when it is sent again.
func (m *Mail) Send(ctx context.Context, id, subject, text string) error {
	host, port, err := net.SplitHostPort(m.Server)
	if err != nil {
		return errors.New("alarm: mail: the server is no HOST:PORT")
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return errors.New("alarm: mail: the server is no HOST:PORT")
	}
	options := []mail.Option{mail.WithPort(number), mail.WithTimeout(patience)}
	ip := net.ParseIP(host)
	switch {
	case number == 465:
		options = append(options, mail.WithSSL())
	case host == "localhost" || ip != nil && ip.IsLoopback():
		options = append(options, mail.WithTLSPolicy(mail.TLSOpportunistic))
	default:
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory))
	}
	if m.TLS != nil {
		options = append(options, mail.WithTLSConfig(m.TLS))
	}
	if m.User != "" {
		options = append(options, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(m.User), mail.WithPassword(m.Password))
	}
	client, err := mail.NewClient(host, options...)
	if err != nil {
		return errors.New("alarm: mail: the server's settings do not fit together")
	}
	msg, err := m.message(id, subject, text)
	if err != nil {
		return err
	}
	if err := client.DialAndSendWithContext(ctx, msg); err != nil {
		return fmt.Errorf("alarm: mail: %w", plain(err))
	}
	return nil
}

// plain is what went wrong without addresses that a server may repeat.
func plain(err error) error {
	if e, ok := errors.AsType[*mail.SendError](err); ok {
		if code := e.ErrorCode(); code > 0 {
			return fmt.Errorf("the server answered %d", code)
		}
		return errors.New("the server did not take the message")
	}
	if e, ok := errors.AsType[*net.OpError](err); ok {
		return fmt.Errorf("%s: %w", e.Op, e.Err)
	}
	return errors.New("the server could not be talked to")
}

func (m *Mail) message(id, subject, text string) (*mail.Msg, error) {
	msg := mail.NewMsg()
	if err := msg.From(m.From); err != nil {
		return nil, errors.New("alarm: mail: from is no address")
	}
	if err := msg.To(m.To...); err != nil {
		return nil, errors.New("alarm: mail: a receiver is no address")
	}
	sum := sha256.Sum256([]byte(id))
	msg.SetMessageIDWithValue(hex.EncodeToString(sum[:12]) + "@firebreak")
	msg.SetDateWithValue(m.Now())
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.Subject(subject)
	msg.SetBodyString(mail.TypeTextPlain, text)
	return msg, nil
}

func subject(n Notice) string {
	if n.Over {
		return "Firebreak: over: " + n.Text
	}
	return "Firebreak: " + n.Text
}

func text(n Notice) string {
	state := "Since " + n.Since.UTC().Format("2006-01-02 15:04 UTC") + ". You are told once, and again when it is over."
	if n.Over {
		state = "It began " + n.Since.UTC().Format("2006-01-02 15:04 UTC") + " and is over."
	}
	return n.Text + "\r\n\r\n" + state + "\r\n\r\n" + n.Page + "\r\n"
}
