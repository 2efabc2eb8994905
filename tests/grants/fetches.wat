;; Sends a GET to the authority and the path of its settings, reads all of the response, and says its
;; status; or "cut" if the body broke off; or "error NN", with the number of the error code.
(module
  (import "wasi:config/store@0.2.0-rc.1" "get" (func $get (param i32 i32 i32)))
  (import "wasi:http/types@0.2.0" "[constructor]fields" (func $fields (result i32)))
  (import "wasi:http/types@0.2.0" "[constructor]outgoing-request"
    (func $request (param i32) (result i32)))
  (import "wasi:http/types@0.2.0" "[method]outgoing-request.set-scheme"
    (func $set_scheme (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi:http/types@0.2.0" "[method]outgoing-request.set-authority"
    (func $set_authority (param i32 i32 i32 i32) (result i32)))
  (import "wasi:http/types@0.2.0" "[method]outgoing-request.set-path-with-query"
    (func $set_path (param i32 i32 i32 i32) (result i32)))
  (import "wasi:http/outgoing-handler@0.2.0" "handle" (func $handle (param i32 i32 i32 i32)))
  (import "wasi:http/types@0.2.0" "[method]future-incoming-response.subscribe"
    (func $subscribe (param i32) (result i32)))
  (import "wasi:http/types@0.2.0" "[method]future-incoming-response.get"
    (func $response (param i32 i32)))
  (import "wasi:io/poll@0.2.0" "[method]pollable.block" (func $block (param i32)))
  (import "wasi:http/types@0.2.0" "[method]incoming-response.status"
    (func $status (param i32) (result i32)))
  (import "wasi:http/types@0.2.0" "[method]incoming-response.consume"
    (func $consume (param i32 i32)))
  (import "wasi:http/types@0.2.0" "[method]incoming-body.stream" (func $stream (param i32 i32)))
  (import "wasi:io/streams@0.2.0" "[method]input-stream.blocking-read"
    (func $read (param i32 i64 i32)))
  ;; prelude
  (data (i32.const 512) "authority")
  (data (i32.const 528) "path")
  (data (i32.const 544) "error 00")
  (data (i32.const 560) "cut")
  (data (i32.const 576) "000")
  ;; Writes two digits.
  (func $digits (param $at i32) (param $number i32)
    (i32.store8 (local.get $at)
      (i32.add (i32.const 48) (i32.rem_u (i32.div_u (local.get $number) (i32.const 10)) (i32.const 10))))
    (i32.store8 offset=1 (local.get $at)
      (i32.add (i32.const 48) (i32.rem_u (local.get $number) (i32.const 10)))))
  (func $failed (param $code i32) (result i32)
    (call $digits (i32.const 550) (local.get $code))
    (call $say (i32.const 544) (i32.const 8)))
  (func $answer (param $list i32) (param $count i32) (result i32)
    (local $request i32) (local $future i32) (local $status i32) (local $body i32)
    (local.set $request (call $request (call $fields)))
    (drop (call $set_scheme (local.get $request) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0)))
    (call $get (i32.const 512) (i32.const 9) (i32.const 2048))
    (if (call $set_authority (local.get $request) (i32.const 1)
        (i32.load (i32.const 2056)) (i32.load (i32.const 2060))) (then unreachable))
    (call $get (i32.const 528) (i32.const 4) (i32.const 2048))
    (if (call $set_path (local.get $request) (i32.const 1)
        (i32.load (i32.const 2056)) (i32.load (i32.const 2060))) (then unreachable))
    (call $handle (local.get $request) (i32.const 0) (i32.const 0) (i32.const 2048))
    (if (i32.load8_u (i32.const 2048))
      (then (return (call $failed (i32.load8_u (i32.const 2056))))))
    (local.set $future (i32.load (i32.const 2056)))
    (call $block (call $subscribe (local.get $future)))
    ;; An option at 0, the outer result at 8, the inner at 16.
    (call $response (local.get $future) (i32.const 2048))
    (if (i32.load8_u (i32.const 2064))
      (then (return (call $failed (i32.load8_u (i32.const 2072))))))
    (local.set $status (call $status (i32.load (i32.const 2072))))
    (call $consume (i32.load (i32.const 2072)) (i32.const 2048))
    (call $stream (i32.load (i32.const 2052)) (i32.const 2048))
    (local.set $body (i32.load (i32.const 2052)))
    (loop $more
      (global.set $heap (i32.const 4096))
      (call $read (local.get $body) (i64.const 65536) (i32.const 2048))
      (br_if $more (i32.eqz (i32.load8_u (i32.const 2048)))))
    (if (i32.eqz (i32.load8_u (i32.const 2052)))
      (then (return (call $say (i32.const 560) (i32.const 3)))))
    (i32.store8 (i32.const 576) (i32.add (i32.const 48) (i32.div_u (local.get $status) (i32.const 100))))
    (call $digits (i32.const 577) (local.get $status))
    (call $say (i32.const 576) (i32.const 3))))
