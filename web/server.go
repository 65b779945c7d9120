package web

import (
	"net/http"
	"time"
)

// Server is an http.Server with limits: slow or flooding clients are let go.
// handler is what Guard.Wrap returned, or another that needs no guard, such as
// metrics on their own address.
func Server(address string, handler http.Handler) *http.Server {
	return &http.Server{
		Addr:              address,
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       60 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       120 * time.Second,
		MaxHeaderBytes:    32 << 10,
	}
}
