defmodule Graphport.ErrorTest do
  use ExUnit.Case, async: true

  alias Graphport.Error

  describe "from_wire/1" do
    test "takes every field" do
      map = %{
        "code" => "node_failed",
        "message" => "boom",
        "node_id" => "n",
        "exception" => "ValueError",
        "traceback" => "Traceback",
        "retry_after_ms" => 5,
        "details" => %{"k" => 1}
      }

      assert Error.from_wire(map) == %Error{
               code: :node_failed,
               message: "boom",
               node_id: "n",
               exception: "ValueError",
               traceback: "Traceback",
               retry_after_ms: 5,
               details: %{"k" => 1}
             }
    end

    test "keeps the text of a code it does not know, and makes no atom of it" do
      assert %Error{code: :unknown, details: %{"code" => "never_heard_of_this_code"}} =
               Error.from_wire(%{"code" => "never_heard_of_this_code", "message" => "x"})

      assert_raise ArgumentError, fn -> String.to_existing_atom("never_heard_of_" <> "this_code") end
    end

    test "never fails, whatever the map holds" do
      assert %Error{code: :unknown, message: "no message", details: %{"code" => ""}} = Error.from_wire(%{})

      assert %Error{node_id: nil, details: %{}} =
               Error.from_wire(%{"code" => "cancelled", "node_id" => 5, "details" => []})
    end
  end

  test "is printed with code and node" do
    assert to_string(Error.new(:cancelled, "no more")) == "cancelled: no more"
    assert "#{Error.new(:cancelled, "no more", node_id: "n")}" == ~s(cancelled in node "n": no more)
  end
end
