defmodule Graphport.JSONTest do
  use ExUnit.Case, async: true

  alias Graphport.JSON

  test "reads every kind of value" do
    text =
      ~S( {"a": [1, -2, 0, 1.5, -0.25e2, 1E3, 2e-1], "b": {"c": null, "d": true, "e": false}, "": "", "u": "\u00e4\ud83d\ude00\n\"\\\/\b\f\r\t äöü"} )

    assert JSON.own_decode(text) ==
             {:ok,
              %{
                "a" => [1, -2, 0, 1.5, -25.0, 1000.0, 0.2],
                "b" => %{"c" => nil, "d" => true, "e" => false},
                "" => "",
                "u" => "ä😀\n\"\\/\b\f\r\t äöü"
              }}

    assert JSON.own_decode("[]") == {:ok, []}
    assert JSON.own_decode(" {} ") == {:ok, %{}}
    assert JSON.own_decode("123456789012345678901234567890") == {:ok, 123_456_789_012_345_678_901_234_567_890}
    assert JSON.own_decode(~s({"a":1,"a":2})) == {:ok, %{"a" => 2}}
    assert JSON.decode("[1]") == {:ok, [1]}
  end

  for text <- [
        "",
        "nul",
        "{",
        "[",
        "[1,]",
        "{\"a\":1,}",
        "{a:1}",
        "{\"a\" 1}",
        "[1 2]",
        "01",
        "1.",
        ".5",
        "+1",
        "1e",
        "\"a",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\ud800\"",
        "\"\\ud800\\u0041\"",
        "\"\\udc00\"",
        "\"a\nb\"",
        "\"\xff\"",
        "[1] 2",
        "// no\n1",
        "1e999",
        String.duplicate("[", 2000)
      ] do
    test "refuses #{inspect(text, printable_limit: 20)}" do
      assert {:error, "not JSON at byte " <> _} = JSON.own_decode(unquote(text))
    end
  end

  test "says where" do
    assert {:error, text} = JSON.own_decode(~s({"a": 1, "b": x}))
    assert text == "not JSON at byte 14: expected a value"
  end
end
