// Command gin forwards trace headers by hand, or does not, behind the Gin framework.
//
// Every route calls the upstream with its own path. /forward hands the headers on, /drop none of them.
package main

import (
	"flag"
	"net/http"

	"github.com/gin-gonic/gin"

	"traceaudit.test/services/internal/service"
)

func main() {
	flag.Parse()
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	engine.GET("/forward", forward)
	engine.GET("/forward/*path", forward)
	engine.GET("/drop", drop)
	engine.GET("/drop/*path", drop)
	service.Run(engine)
}

func forward(c *gin.Context) {
	header := service.Forwarded(c.Request.Header)
	body, err := service.Get(c.Request.Context(), service.Target(c.Request, ""), header)
	service.Answer(c.Writer, err, body)
}

// drop hands on the request's context, which carries no headers, and believes that to be enough.
func drop(c *gin.Context) {
	body, err := service.Get(c.Request.Context(), service.Target(c.Request, ""), http.Header{})
	service.Answer(c.Writer, err, body)
}
