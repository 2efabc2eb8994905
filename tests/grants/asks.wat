;; Asks the model "small" a question, and says the answer, or "CODE: MESSAGE".
(module
  (import "sessiond:plugin/chat-model@0.1.0" "[constructor]request"
    (func $request (param i32 i32) (result i32)))
  (import "sessiond:plugin/chat-model@0.1.0" "[method]request.add-message"
    (func $add (param i32 i32 i32 i32 i32 i32)))
  (import "sessiond:plugin/chat-model@0.1.0" "[method]request.set-max-tokens"
    (func $set_max_tokens (param i32 i32 i32)))
  (import "sessiond:plugin/chat-model@0.1.0" "[method]request.set-temperature"
    (func $set_temperature (param i32 f64 i32)))
  (import "sessiond:plugin/chat-model@0.1.0" "send" (func $send (param i32 i32)))
  (import "sessiond:plugin/chat-model@0.1.0" "[method]answer.text" (func $text (param i32 i32)))
  (import "sessiond:plugin/chat-model@0.1.0" "[resource-drop]answer" (func $drop (param i32)))
  ;; prelude
  (data (i32.const 512) "small")
  (data (i32.const 520) "user")
  (data (i32.const 528) "What is \22up\22?")
  (func $answer (param $list i32) (param $count i32) (result i32)
    (local $request i32) (local $code i32) (local $message i32)
    (local.set $request (call $request (i32.const 512) (i32.const 5)))
    (call $add (local.get $request) (i32.const 520) (i32.const 4) (i32.const 528) (i32.const 13)
      (i32.const 2048))
    (if (i32.load8_u (i32.const 2048)) (then unreachable))
    (call $set_max_tokens (local.get $request) (i32.const 50) (i32.const 2048))
    (if (i32.load8_u (i32.const 2048)) (then unreachable))
    ;; Three is more than a temperature may be.
    (call $set_temperature (local.get $request) (f64.const 3) (i32.const 2048))
    (if (i32.eqz (i32.load8_u (i32.const 2048))) (then unreachable))
    (call $set_temperature (local.get $request) (f64.const 0.5) (i32.const 2048))
    (if (i32.load8_u (i32.const 2048)) (then unreachable))
    (call $send (local.get $request) (i32.const 2048))
    (if (i32.load8_u (i32.const 2048))
      (then
        (local.set $code (i32.load (i32.const 2056)))
        (local.set $message (i32.load (i32.const 2064)))
        (memory.copy (i32.const 65536) (i32.load (i32.const 2052)) (local.get $code))
        (i32.store16 (i32.add (i32.const 65536) (local.get $code)) (i32.const 0x203a)) ;; ": "
        (memory.copy (i32.add (i32.const 65538) (local.get $code))
          (i32.load (i32.const 2060)) (local.get $message))
        (return (call $say (i32.const 65536)
          (i32.add (i32.const 2) (i32.add (local.get $code) (local.get $message)))))))
    (call $text (i32.load (i32.const 2052)) (i32.const 2080))
    (call $drop (i32.load (i32.const 2052)))
    (call $say (i32.load (i32.const 2080)) (i32.load (i32.const 2084)))))
