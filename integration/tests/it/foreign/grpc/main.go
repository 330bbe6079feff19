// A server of gRPC on Go's own library: the service of its interoperability tests, with reflection.
//
//	go-grpc-server ADDRESS [CERTIFICATE KEY]
package main

import (
	"log"
	"net"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	_ "google.golang.org/grpc/encoding/gzip" // takes messages in gzip
	"google.golang.org/grpc/interop"
	testing "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/reflection"
)

func main() {
	if len(os.Args) != 2 && len(os.Args) != 4 {
		log.Fatal("usage: go-grpc-server ADDRESS [CERTIFICATE KEY]")
	}
	var options []grpc.ServerOption
	if len(os.Args) == 4 {
		tls, err := credentials.NewServerTLSFromFile(os.Args[2], os.Args[3])
		if err != nil {
			log.Fatal(err)
		}
		options = append(options, grpc.Creds(tls))
	}
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer(options...)
	testing.RegisterTestServiceServer(server, interop.NewTestServer())
	reflection.Register(server)
	log.Fatal(server.Serve(listener))
}
