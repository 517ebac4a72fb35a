-- GET /reviews of random products of 1 to PRODUCTS, some twenty a second on each connection.
local products = tonumber(os.getenv("PRODUCTS") or "1000011")
math.randomseed(os.time())
request = function()
  return wrk.format("GET", "/reviews?product_id=" .. math.random(1, products))
end
delay = function()
  return 50
end
