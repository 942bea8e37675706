"""The HTTP face of the gateway: the gRPC methods as JSON routes, made from their descriptors.

binding     one route of one method, as its google.api.http annotation says
transcode   request → message, message → body
stream      server-streaming methods as Server-Sent Events or newline-delimited JSON
callback    the URL of a waitpoint: a signal for those who have nothing else
problem     errors as JSON
access      bearer token, CORS, body limits
openapi     the description of all of it
server      the application and the listening socket
"""
