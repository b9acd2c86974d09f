// The kubelet's side of `pods/exec`: kube-apiserver sends a command to the
// node of its pod. The streams are served by kubelet's own library; which
// containers there are, and what a command says, is asked of the test.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/types"
	protocols "k8s.io/apimachinery/pkg/util/remotecommand"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/util/cert"
	server "k8s.io/kubelet/pkg/cri/streaming/remotecommand"
	"k8s.io/utils/exec"
)

// As kubelet's own default.
const idleTimeout = 4 * time.Hour

func newKubeletExecCommand() *cobra.Command {
	var listen, runtime string
	command := &cobra.Command{
		Use: "kubelet-exec",
		RunE: func(*cobra.Command, []string) error {
			return serveExec(listen, runtime)
		},
	}
	command.Flags().StringVar(&listen, "listen", "", "address of the kubelet's endpoint (TLS)")
	command.Flags().StringVar(&runtime, "runtime", "", "URL of whoever runs the containers")
	return command
}

func serveExec(listen, runtime string) error {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return err
	}
	certificate, key, err := cert.GenerateSelfSignedCertKey(host, nil, nil)
	if err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/exec/{namespace}/{pod}/{container}", func(w http.ResponseWriter, req *http.Request) {
		handle(w, req, runtime)
	})
	https := http.Server{Addr: listen, Handler: mux, TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}}}
	return https.ListenAndServeTLS("", "")
}

func handle(w http.ResponseWriter, req *http.Request, runtime string) {
	options, err := server.NewOptions(req)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	container := req.PathValue("container")
	url := fmt.Sprintf("%s/%s/%s/%s", runtime, req.PathValue("namespace"), req.PathValue("pod"), container)
	found, err := http.Get(url)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	found.Body.Close()
	if found.StatusCode != http.StatusOK {
		// As kubelet says it, before anything is upgraded.
		http.Error(w, fmt.Sprintf("container not found (%q)", container), http.StatusInternalServerError)
		return
	}
	server.ServeExec(w, req, executor{url}, req.PathValue("pod"), "", container, req.URL.Query()["command"],
		options, idleTimeout, protocols.DefaultStreamCreationTimeout, protocols.SupportedStreamingProtocols)
}

// Runs commands in the container at this URL.
type executor struct{ url string }

// What a command has said.
type output struct {
	Stdout string `json:"stdout"`
	Stderr string `json:"stderr"`
	Code   int    `json:"code"`
}

func (e executor) ExecInContainer(ctx context.Context, _ string, _ types.UID, _ string, argv []string,
	_ io.Reader, stdout, stderr io.WriteCloser, _ bool, _ <-chan remotecommand.TerminalSize, _ time.Duration,
) error {
	said, err := e.run(ctx, argv)
	if err != nil {
		return err
	}
	for _, stream := range []struct {
		to   io.WriteCloser
		text string
	}{{stdout, said.Stdout}, {stderr, said.Stderr}} {
		if stream.to == nil {
			continue
		}
		if _, err := io.WriteString(stream.to, stream.text); err != nil {
			return err
		}
		stream.to.Close()
	}
	if said.Code != 0 {
		return exec.CodeExitError{Err: fmt.Errorf("exit status %d", said.Code), Code: said.Code}
	}
	return nil
}

func (e executor) run(ctx context.Context, argv []string) (output, error) {
	var said output
	body, err := json.Marshal(argv)
	if err != nil {
		return said, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url, bytes.NewReader(body))
	if err != nil {
		return said, err
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return said, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return said, fmt.Errorf("the command cannot be run: %s", answer.Status)
	}
	return said, json.NewDecoder(answer.Body).Decode(&said)
}
